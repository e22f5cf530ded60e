/** The two live panes: the old polling code and the SDK, run in the page as an application would run them. */
import { createClient } from '../js/index.ts';
import { pollForever } from '../legacy/poller.ts';
import { byId, grouped, make, write } from './page.ts';
import type { PageTokens } from './state.ts';

const kept = 8;
const waiting = 'waiting for the gateway';

interface Shown {
  readonly service: string;
  readonly type: string;
  readonly payload: unknown;
  readonly seq?: unknown;
}

/** @returns what to call with each event. */
function pane(name: 'legacy' | 'sdk'): (event: Shown) => void {
  const list = byId(`${name}-events`);
  let count = 0;
  return ({ seq, service, type, payload }) => {
    if (count === 0) list.replaceChildren();
    count += 1;
    const what = make('span', 'what', `${service} ${type}`);
    list.prepend(make('li', '', make('b', '', String(seq)), what, make('code', '', textOf(payload))));
    while (list.childElementCount > kept) list.lastElementChild?.remove();
    write(`${name}-count`, grouped(count));
  };
}

const textOf = (payload: unknown): string =>
  typeof payload === 'object' && payload !== null ? Object.values(payload).join(' ') : String(payload);

export function startLegacyPane(url: string, { legacy, services }: PageTokens): void {
  const problem = (text: string): void => write('legacy-transport', text);
  const show = pane('legacy');
  pollForever({
    url: url.replace(/\/$/, ''),
    token: legacy,
    services,
    onEvent(event) {
      write('legacy-transport', 'long-poll');
      show(event);
    },
    onReset: () => undefined,
    onError: () => problem(waiting),
    signal: new AbortController().signal,
  }).catch(() => problem('signed out: load the page again'));
}

export function startSdkPane(url: string, { sdk, services }: PageTokens): void {
  const show = pane('sdk');
  createClient({
    url,
    token: () => sdk,
    services,
    onEvent: show,
    onReset: () => undefined,
    onState({ phase, transport }) {
      const without = phase === 'waiting' ? waiting : phase;
      write('sdk-transport', transport === 'websocket' ? 'WebSocket' : (transport ?? without));
      byId('sdk-transport').className = `badge ${transport ?? ''}`;
    },
  }).start();
}
