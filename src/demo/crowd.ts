/**
 * The demo's crowd, in a thread of its own so that it takes no turn of the gateway's: legacy pollers, SDK clients and
 * publishers of made-up events, all over real sockets. It reports what it sees and is told nothing but when to end.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocket } from 'ws';
import type { Member, Move } from '../../clients/demo/state.ts';
import { type Client, createClient } from '../../clients/js/index.ts';
import { pollForever } from '../../clients/legacy/poller.ts';
import { retryUntilAborted } from '../async/retry.ts';
import { pause, systemClock as clock } from '../clock.ts';
import { type CrowdMember, type CrowdOrders, crowdServices } from './crowd-thread.ts';
import { Ledger } from './ledger.ts';

const reportMs = 250;
const movesKept = 400;
/** Between two events of one org: three events a second in two orgs. */
const betweenMs = { least: 400, most: 900 };
const retryMs = { firstMs: 1000, maxMs: 1000 };

/** Uncompressed: the fourth of the README's five checks counts compressed frames, and they are to be the reader's own. */
class PlainWebSocket extends WebSocket {
  constructor(url: string) {
    super(url, { perMessageDeflate: false });
  }
}

// The gateway writes it, in this very process.
const { url, members, producerToken } = workerData as CrowdOrders;
const ledger = new Ledger();
const stop = new AbortController();
const moves: Move[] = [];
const views: (() => Member)[] = [];
const ignore = (): void => undefined;
const clients: Client[] = [];

function startLegacy({ org, user, token, services }: CrowdMember): void {
  const receive = ledger.open(org, services);
  const onEvent = ({ seq }: { readonly [field: string]: unknown }): void => receive(Number(seq));
  const poller = { url, token, services, onEvent, onReset: ignore, onError: ignore, signal: stop.signal };
  // Signed out after a week: its dot stays where it was.
  pollForever(poller).catch(ignore);
  views.push(() => ({ user, org, kind: 'legacy', transport: 'long-poll', isMoving: false }));
}

function startSdk({ org, user, token, services }: CrowdMember): void {
  const receive = ledger.open(org, services);
  let before: Move['to'] | undefined;
  const client = createClient({
    url,
    token: () => token,
    services,
    WebSocket: PlainWebSocket,
    onEvent: ({ seq }) => receive(seq ?? 0),
    onReset: ignore,
    onState: ({ transport }) => {
      if (transport === undefined || transport === before) return;
      if (before !== undefined) moves.push({ atMs: clock.now(), to: transport });
      if (moves.length > movesKept) moves.shift();
      before = transport;
    },
  });
  views.push(() => {
    const { phase, transport } = client.state;
    return { user, org, kind: 'sdk', transport, isMoving: phase !== 'live' };
  });
  clients.push(client);
  client.start();
}

const guests = ['Ada', 'Grace', 'Linus', 'Margaret', 'Edsger', 'Barbara'];
const samples = {
  finance: (count: number) => ({
    type: 'revenue',
    payload: { amount: 100 + ((count * 37) % 900), currency: 'USD' },
  }),
  guest: (count: number) => ({
    type: 'check_in',
    payload: { guest: guests[count % guests.length], room: 100 + (count % 80) },
  }),
  staff: (count: number) => ({
    type: count % 2 === 0 ? 'clock_in' : 'clock_out',
    payload: { name: guests[(count * 5) % guests.length] },
  }),
};

async function publishForever(org: string): Promise<void> {
  const { signal } = stop;
  for (let count = 1; !signal.aborted; count += 1) {
    const service = crowdServices[Math.floor(clock.random() * crowdServices.length)] ?? 'staff';
    const event = { id: clock.id(), org, service, ...samples[service](count) };
    // The same id again, until the gateway has said that it has it: where an answer was cut off nobody else can tell.
    await retryUntilAborted(() => publish(event), { clock, signal, onFailure: ignore, backoff: retryMs });
    await pause(clock, betweenMs.least + clock.random() * (betweenMs.most - betweenMs.least), signal);
  }
}

async function publish(event: { readonly org: string; readonly service: string }): Promise<void> {
  const answer = await fetch(`${url}/v1/publish`, {
    method: 'POST',
    headers: { authorization: `Bearer ${producerToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(event),
    signal: stop.signal,
  });
  const { results } = (await answer.json()) as { results?: { seq?: number }[] };
  const seq = results?.[0]?.seq;
  if (seq === undefined) throw new Error(`not published: ${answer.status}`);
  ledger.publish(event.org, event.service, seq, clock.now());
}

for (const member of members) {
  if (member.kind === 'legacy') startLegacy(member);
  else startSdk(member);
}
for (const org of new Set(members.map((member) => member.org))) void publishForever(org);

clock.every(reportMs, () =>
  parentPort?.postMessage({
    members: views.map((view) => view()),
    totals: ledger.totals(clock.now()),
    moves,
  }),
);

// Listening keeps the thread alive: the clock's timers don't.
parentPort?.once('message', () => {
  stop.abort();
  for (const client of clients) client.stop();
  parentPort?.close();
});
