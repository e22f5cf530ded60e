/** The crowd on the page: a mark for each user, coloured and shaped by transport, and the running totals. */
import { byId, grouped, make, write } from './page.ts';
import type { CrowdState, Member } from './state.ts';

const dots = new Map<string, HTMLElement>();
const boxes = new Map<string, { readonly grid: HTMLElement }>();

export function showCrowd({ members, totals }: CrowdState): void {
  for (const member of members) showMember(member);
  const sdk = members.filter(({ kind }) => kind === 'sdk');
  const on = (transport: string): number => sdk.filter((one) => one.transport === transport).length;
  write('count-websocket', String(on('websocket')));
  write('count-long-poll', String(on('long-poll')));
  write('count-legacy', String(members.length - sdk.length));
  write('count-moving', String(members.filter(({ isMoving }) => isMoving).length));
  for (const [org, { grid }] of boxes) describe(grid, org, members);

  write('total-published', grouped(totals.published));
  write('total-delivered', grouped(totals.delivered));
  write('total-under-way', grouped(totals.underWay));
  for (const name of ['lost', 'repeated'] as const) {
    write(`total-${name}`, grouped(totals[name]));
    byId(`total-${name}`).classList.toggle('failed', totals[name] > 0);
  }
}

function showMember({ org, user, kind, transport, isMoving }: Member): void {
  const dot = dots.get(`${org}/${user}`) ?? addDot(org, user);
  const look = kind === 'legacy' ? 'legacy' : (transport ?? 'nowhere');
  const className = `dot ${look}${isMoving ? ' moving' : ''}`;
  if (dot.className === className) return;
  dot.className = className;
  dot.title = `${user}: ${kind === 'legacy' ? 'legacy' : 'SDK'}, ${transport ?? 'connecting'}`;
}

function addDot(org: string, user: string): HTMLElement {
  const dot = make('span', '');
  boxOf(org).append(dot);
  dots.set(`${org}/${user}`, dot);
  return dot;
}

function boxOf(org: string): HTMLElement {
  const known = boxes.get(org);
  if (known !== undefined) return known.grid;
  const grid = make('div', 'dots');
  grid.setAttribute('role', 'img');
  byId('orgs').append(make('div', 'org', make('h3', '', org), grid));
  boxes.set(org, { grid });
  return grid;
}

/** Sixty marks in a sentence, for who can't see them. */
function describe(grid: HTMLElement, org: string, members: readonly Member[]): void {
  const own = members.filter((member) => member.org === org);
  const sdk = own.filter(({ kind }) => kind === 'sdk');
  const onStream = sdk.filter(({ transport }) => transport === 'websocket').length;
  const label = `${org}: ${onStream} of ${sdk.length} SDK users on WebSocket, ${own.length - sdk.length} legacy users`;
  if (grid.getAttribute('aria-label') !== label) grid.setAttribute('aria-label', label);
}
