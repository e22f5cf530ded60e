/**
 * The demo's crowd, in a thread of its own so that it takes no turn of the gateway's: legacy pollers, SDK clients and
 * publishers, all over real sockets. It reports what it sees and is told nothing but when to end.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocket } from 'ws';
import type { Member, Move } from '../../clients/demo/state.ts';
import { type Client, createClient } from '../../clients/js/index.ts';
import { pollForever } from '../../clients/legacy/poller.ts';
import { systemClock as clock } from '../clock.ts';
import { type CrowdMember, type CrowdOrders, crowdServices } from './crowd-thread.ts';
import { Ledger } from './ledger.ts';
import { publishForever } from './publishers.ts';

const reportMs = 250;
const movesKept = 400;

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
const clients: Client[] = [];

function startLegacy({ org, user, token, services }: CrowdMember): void {
  const receive = ledger.open(org, services);
  const onEvent = ({ seq }: { readonly [field: string]: unknown }): void => receive(Number(seq));
  const ignore = (): void => undefined;
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
    onReset: () => undefined,
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

for (const member of members) {
  if (member.kind === 'legacy') startLegacy(member);
  else startSdk(member);
}
const orgs = new Set(members.map(({ org }) => org));
for (const org of orgs)
  void publishForever({
    url,
    token: producerToken,
    org,
    services: crowdServices,
    onPublished: (service, seq) => ledger.publish(org, service, seq, clock.now()),
    signal: stop.signal,
    clock,
  });

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
