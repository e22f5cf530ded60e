/**
 * Deliveries a second: one org, N streams with the same services, small events at a rising rate until a server no longer
 * keeps up. The gateway, `ws.send` for each client and event, and Socket.IO take turns in one run.
 */
import { deliveredOf, parseStreamFrame } from '../frame-memo.ts';
import { firstFrame, producerToken, startGateway, streamPath, userToken } from '../gateway.ts';
import { LoadPublisher, settles } from '../publisher.ts';
import {
  chosen,
  newHistogram,
  numberOption,
  printTable,
  quantileMs,
  report,
  round,
  type Row,
} from '../report.ts';
import { pinLoad, type ServerProcess, type StartServer, standIn } from '../server-process.ts';
import { Swarm, type SwarmOptions } from '../swarm.ts';

type Client = Pick<
  SwarmOptions,
  'path' | 'hello' | 'isWelcome' | 'parse' | 'countsFramesOnly' | 'offersDeflate'
>;

interface Contender {
  readonly name: string;
  readonly padBytes: number;
  readonly client: Client;
  readonly start: StartServer;
}

interface Step extends Row {
  readonly server: string;
  readonly 'events/s': number;
  readonly 'deliveries/s': number;
  readonly 'p99 ms': number;
  readonly keptUp: boolean;
}

const clients = numberOption('clients', 1000, 20);
const stepS = numberOption('seconds', 2, 0.2);
const rounds = numberOption('rounds', 2, 1);
const maxRate = numberOption('max-rate', 12_800, 25);
const firstRate = numberOption('first-rate', 25);
const services = ['bench'];
// A step that ends later than this after its last publish has not kept up.
const settleMs = 1000;

const gateway: StartServer = () => startGateway({ TURNOUT_RETENTION_EVENTS: '10000' });

async function listContenders(): Promise<Contender[]> {
  const tokens = await Promise.all(
    Array.from({ length: clients }, (_, i) => userToken('bench', `user-${i}`)),
  );
  const stream: Client = {
    path: (client) => streamPath(tokens[client] ?? ''),
    hello: [firstFrame(services)],
    isWelcome: (text) => text.startsWith('{"type":"ack"'),
    parse: parseStreamFrame,
  };
  const socketIo: Client = {
    path: () => '/socket.io/?EIO=4&transport=websocket',
    hello: ['40'],
    isWelcome: (text) => text.startsWith('40'),
    // `42["event",{…}]`: a message, an event, its name, its argument. `2` is a ping that 25 s won't bring.
    parse: (text) => deliveredOf(text.startsWith('42') ? [JSON.parse(text.slice(2))[1]] : []),
  };
  const naive: Client = { ...stream, path: () => '/' };
  // With context takeover `ws` deflates every frame, and none can be read without those before it: a count stands for it.
  const deflated = { offersDeflate: true, countsFramesOnly: true, isWelcome: () => true };
  return [
    { name: 'gateway', padBytes: 64, client: stream, start: gateway },
    { name: 'ws.send each', padBytes: 64, client: naive, start: standIn('fanout-naive') },
    { name: 'socket.io', padBytes: 64, client: socketIo, start: standIn('fanout-socket-io') },
    {
      name: 'gateway, deflate 2 KiB',
      padBytes: 2048,
      client: { ...stream, offersDeflate: true },
      start: gateway,
    },
    {
      name: 'ws.send each, deflate 2 KiB',
      padBytes: 2048,
      client: { ...naive, ...deflated },
      start: standIn('fanout-naive', { env: { BENCH_DEFLATE: '1' } }),
    },
  ];
}

/** Rates that double until the server falls behind. */
async function climb(contender: Contender): Promise<Step[]> {
  const server = await contender.start();
  const steps: Step[] = [];
  try {
    const latency = newHistogram();
    const swarm = await Swarm.open({ url: server.url, clients, latency, ...contender.client });
    const token = await producerToken();
    const { padBytes } = contender;
    const publisher = await LoadPublisher.open({ url: server.url, token, org: 'bench', services, padBytes });
    await publisher.run(50, 500);
    for (let rate = firstRate; rate <= maxRate; rate *= 2) {
      const step = await measure(contender, rate, { server, swarm, publisher });
      steps.push(step);
      if (!step.keptUp) break;
    }
    publisher.close();
    swarm.close();
  } finally {
    await server.stop();
  }
  return steps;
}

interface Stage {
  readonly server: ServerProcess;
  readonly swarm: Swarm;
  readonly publisher: LoadPublisher;
}

async function measure({ name, client }: Contender, rate: number, stage: Stage): Promise<Step> {
  const { server, swarm, publisher } = stage;
  await settles(() => swarm.deliveries === publisher.published * clients, 5000);
  const { latency } = swarm;
  latency.reset();
  const before = { deliveries: swarm.deliveries, published: publisher.published, cpuMs: server.cpuMs() };
  const startMs = performance.now();
  await publisher.run(rate, stepS * 1000);
  const isComplete = await settles(() => swarm.deliveries >= publisher.published * clients, settleMs);
  const tookS = (performance.now() - startMs) / 1000;
  const published = publisher.published - before.published;
  const deliveries = swarm.deliveries - before.deliveries;
  const keptUp = isComplete && published >= rate * stepS * 0.95 - 1 && tookS < stepS + settleMs / 1000;
  return {
    server: name,
    'events/s': rate,
    published,
    'deliveries/s': round(deliveries / tookS),
    'p50 ms': client.countsFramesOnly ? Number.NaN : quantileMs(latency, 50),
    'p99 ms': client.countsFramesOnly ? Number.NaN : quantileMs(latency, 99),
    'CPU %': round((server.cpuMs() - before.cpuMs) / tookS / 10),
    misplaced: swarm.misplaced,
    closed: swarm.closes.length,
    keptUp,
  };
}

function summarise(steps: readonly Step[], names: readonly string[]): Row[] {
  return names.map((server) => {
    const kept = steps.filter((step) => step.server === server && step.keptUp);
    const highest = kept.toSorted((a, b) => b['deliveries/s'] - a['deliveries/s'])[0];
    return {
      server,
      'highest rate kept, events/s': highest?.['events/s'] ?? 0,
      'deliveries/s': highest?.['deliveries/s'] ?? 0,
      'p99 ms there': highest?.['p99 ms'] ?? Number.NaN,
    };
  });
}

async function main(): Promise<void> {
  const pinned = pinLoad();
  const contenders = chosen(await listContenders());
  const steps: Step[] = [];
  for (let turn = 0; turn < rounds; turn += 1)
    for (const contender of contenders) {
      const climbed = await climb(contender);
      printTable(climbed);
      steps.push(...climbed);
    }
  const names = contenders.map(({ name }) => name);
  report('fanout', { pinned, clients, stepS, rounds, steps }, summarise(steps, names));
}

await main();
process.exit(0);
