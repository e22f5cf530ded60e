/**
 * The sources' six figures at 500 connections, half on WebSocket, half on long-poll: latency, loss, errors, processor,
 * memory, and the rate of one stream. Exits non-zero when one misses loadtest/budgets.json.
 */
import { readFileSync } from 'node:fs';
import { firstFrame, producerToken, startGateway, streamPath, userToken } from '../gateway.ts';
import { PollSwarm } from '../poll-swarm.ts';
import { LoadPublisher, settles } from '../publisher.ts';
import {
  isQuick,
  newHistogram,
  numberOption,
  quantileMs,
  report,
  round,
  type Row,
  slope,
} from '../report.ts';
import { goFirst, pinLoad, type ServerProcess } from '../server-process.ts';
import { Swarm } from '../swarm.ts';

interface Budgets {
  readonly latencyP99Ms: number;
  readonly lostEvents: number;
  readonly errorPercent: number;
  readonly cpuPercent: number;
  readonly memoryGrowthPercent: number;
  readonly streamEventsPerS: number;
}

const budgets = JSON.parse(readFileSync(new URL('../budgets.json', import.meta.url), 'utf8')) as {
  targets: Budgets;
};
const connections = numberOption('connections', 500, 20);
const seconds = numberOption('seconds', 40, 1);
const orgs = numberOption('orgs', 10, 2);
/** Events a second, all orgs together. */
const rate = numberOption('rate', 20);
const streamRate = numberOption('stream-rate', 1000, 100);
const streamS = isQuick ? 0.5 : 5;
const warmUpMs = isQuick ? 200 : 5000;
const sampleMs = 500;
const services = ['finance', 'guest', 'staff'];
const settleMs = 5000;

/** One org's readers and its backend. */
interface Org {
  readonly streams: Swarm;
  readonly polls: PollSwarm;
  readonly publisher: LoadPublisher;
}

const latencies = { websocket: newHistogram(), longPoll: newHistogram(), stream: newHistogram() };

async function openOrg(url: string, name: string, each: number, token: string): Promise<Org> {
  const makeTokens = (kind: string): Promise<string[]> =>
    Promise.all(Array.from({ length: each }, (_, index) => userToken(name, `${kind}-${index}`)));
  const streamTokens = await makeTokens('stream');
  const streams = await Swarm.open({
    url,
    clients: each,
    path: (client) => streamPath(streamTokens[client] ?? ''),
    hello: [firstFrame(services)],
    isWelcome: (text) => text.startsWith('{"type":"ack"'),
    latency: latencies.websocket,
  });
  const tokens = await makeTokens('poll');
  const polls = await PollSwarm.open({ url, tokens, services, latency: latencies.longPoll });
  const publisher = await LoadPublisher.open({ url, token, org: name, services, padBytes: 100, wires: 2 });
  return { streams, polls, publisher };
}

interface Sample {
  readonly atS: number;
  readonly rssMib: number;
}

async function watch(server: ServerProcess, forMs: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startMs = performance.now();
  for (;;) {
    const atMs = performance.now() - startMs;
    if (atMs >= forMs) return samples;
    samples.push({ atS: atMs / 1000, rssMib: server.rssBytes() / 1024 / 1024 });
    await new Promise<void>((resolve) => setTimeout(resolve, sampleMs));
  }
}

/** One agent run's stream: one org, one service, one reader. */
async function measureStream(
  url: string,
  token: string,
): Promise<{ perS: number; lost: number; failed: number }> {
  const reader = await userToken('agent', 'reader');
  const swarm = await Swarm.open({
    url,
    clients: 1,
    path: () => streamPath(reader),
    hello: [firstFrame(['chat/run-1'])],
    isWelcome: (text) => text.startsWith('{"type":"ack"'),
    latency: latencies.stream,
  });
  const publisher = await LoadPublisher.open({
    url,
    token,
    org: 'agent',
    services: ['chat/run-1'],
    padBytes: 100,
  });
  const startMs = performance.now();
  await publisher.run(streamRate, streamS * 1000);
  await settles(() => swarm.deliveries >= publisher.published, settleMs);
  const perS = swarm.deliveries / ((performance.now() - startMs) / 1000);
  const lost = Math.abs(publisher.published - swarm.deliveries) + swarm.misplaced;
  swarm.close();
  publisher.close();
  return { perS, lost, failed: publisher.failed + swarm.closes.length };
}

function judge(
  figure: string,
  value: number,
  comparison: '<' | '>' | '≤',
  budget: number,
  unit: string,
): Row {
  const isMet = comparison === '<' ? value < budget : comparison === '>' ? value > budget : value <= budget;
  return { figure, measured: value, unit, target: `${comparison} ${budget}`, met: isMet };
}

async function main(): Promise<void> {
  const pinned = pinLoad();
  const server = await startGateway();
  const isFirst = process.argv.includes('--priority') && goFirst(server);
  try {
    const token = await producerToken();
    const each = Math.ceil(connections / orgs / 2);
    const all: Org[] = [];
    for (let index = 0; index < orgs; index += 1)
      all.push(await openOrg(server.url, `org-${index}`, each, token));
    // Each org's backend keeps its own time, as backends do.
    const publishAll = (perS: number, forMs: number): Promise<unknown> =>
      Promise.all(
        all.map(async ({ publisher }, index) => {
          await new Promise<void>((resolve) => setTimeout(resolve, (index * 1000) / perS));
          await publisher.run(perS / orgs, forMs);
        }),
      );
    // Ten times the load: code is compiled, and the heap has the size that it keeps.
    await publishAll(rate * 10, warmUpMs);
    latencies.websocket.reset();
    latencies.longPoll.reset();

    const before = { cpuMs: server.cpuMs(), atMs: performance.now() };
    const [samples] = await Promise.all([watch(server, seconds * 1000), publishAll(rate, seconds * 1000)]);
    const cpuPercent = ((server.cpuMs() - before.cpuMs) / (performance.now() - before.atMs)) * 100;
    const isWhole = (): boolean =>
      all.every(({ streams, polls, publisher }) => {
        const { length } = publisher.acknowledged;
        return streams.deliveries >= length * each && polls.deliveries >= length * each;
      });
    await settles(isWhole, settleMs);
    const stream = await measureStream(server.url, token);

    const sum = (of: (org: Org) => number): number => all.reduce((total, org) => total + of(org), 0);
    const expected = sum(({ publisher }) => publisher.acknowledged.length * each);
    const missing = ({ publisher, streams, polls }: Org): number => {
      const whole = publisher.acknowledged.length * each;
      return Math.abs(whole - streams.deliveries) + Math.abs(whole - polls.deliveries);
    };
    const lost = stream.lost + sum((org) => missing(org) + org.streams.misplaced + org.polls.misplaced);
    const failed =
      stream.failed +
      sum(({ streams, polls, publisher }) => streams.closes.length + polls.failed + publisher.failed);
    const operations =
      connections +
      sum(({ polls, publisher }) => polls.answered + polls.failed + publisher.acknowledged.length);
    const half = Math.floor(samples.length / 2);
    const meanMib = (part: readonly Sample[]): number =>
      part.reduce((total, { rssMib }) => total + rssMib, 0) / part.length;
    const growth = (meanMib(samples.slice(half)) / meanMib(samples.slice(0, half)) - 1) * 100;
    const mibPerMin = slope(samples.map(({ atS, rssMib }) => [atS / 60, rssMib] as const));
    for (const { streams, polls, publisher } of all) {
      streams.close();
      polls.close();
      publisher.close();
    }

    const { targets } = budgets;
    const rows = [
      judge('latency p99, WebSocket', quantileMs(latencies.websocket, 99), '<', targets.latencyP99Ms, 'ms'),
      judge('latency p99, long-poll', quantileMs(latencies.longPoll, 99), '<', targets.latencyP99Ms, 'ms'),
      judge('events lost, repeated or misplaced', lost, '≤', targets.lostEvents, 'events'),
      judge('error rate', round((failed / operations) * 100, 3), '<', targets.errorPercent, '%'),
      judge('CPU of the gateway', round(cpuPercent, 1), '<', targets.cpuPercent, '% of a core'),
      judge('memory, second half against first', round(growth, 1), '<', targets.memoryGrowthPercent, '%'),
      judge('one stream', round(stream.perS), '>', targets.streamEventsPerS, 'events/s'),
    ];
    const percentiles = Object.fromEntries(
      Object.entries(latencies).map(([name, histogram]) => [
        name,
        { p50: quantileMs(histogram, 50), p95: quantileMs(histogram, 95), p99: quantileMs(histogram, 99) },
      ]),
    );
    const rssMib = {
      first: round(samples[0]?.rssMib ?? 0),
      last: round(samples.at(-1)?.rssMib ?? 0),
      mibPerMin: round(mibPerMin, 2),
    };
    report(
      'targets',
      {
        pinned,
        isFirst,
        connections,
        orgs,
        rate,
        seconds,
        deliveries: expected * 2,
        percentiles,
        rssMib,
        streamRate,
      },
      rows,
    );
    console.log(
      'latency ms',
      JSON.stringify(percentiles),
      'rss MiB',
      JSON.stringify(rssMib),
      'deliveries',
      expected * 2,
    );
    process.exitCode = isQuick || rows.every(({ met }) => met === true) ? 0 : 1;
  } finally {
    await server.stop();
  }
}

await main();
process.exit();
