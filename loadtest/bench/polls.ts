/**
 * Held polls answered by one event, a second: the gateway, a Hono handler as it is first written, and `node:http` with the
 * answer's bytes made once. Every poll is asked again at once, as clients do.
 */
import { producerToken, startGateway, userToken } from '../gateway.ts';
import { HttpWire, httpRequest } from '../http-wire.ts';
import { chosen, median, numberOption, report, round, type Row } from '../report.ts';
import { pinLoad, type StartServer, standIn } from '../server-process.ts';

const polls = numberOption('polls', 1000, 20);
const bursts = numberOption('bursts', 30, 1);
const rounds = numberOption('rounds', 3, 1);
// Between a poll's bytes being written and the server holding it; nothing tells when, on every contender.
// Shorter than a server needs to read them all, and the late ones are answered without having been held.
const settleMs = 600;

interface Burst {
  readonly answersPerS: number;
  readonly lastMs: number;
}

interface Round {
  readonly bursts: readonly Burst[];
  readonly cpuUsEach: number;
  readonly errors: number;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(start: StartServer, tokens: readonly string[]): Promise<Round> {
  const server = await start();
  try {
    const wires = await Promise.all(tokens.map(() => HttpWire.open(server.url)));
    const publisher = await HttpWire.open(server.url);
    const body = JSON.stringify({
      org: 'bench',
      events: [{ service: 'bench', type: 'tick', payload: { sentMs: 0 } }],
    });
    const publish = httpRequest('POST', '/v1/publish', await producerToken(), body);
    // The log is still empty: `earliest` is held like a cursor at the head.
    let cursor = 'earliest';
    const measured: Burst[] = [];
    let errors = 0;
    let cpuMs = 0;
    // The first quarter compiles the code.
    const warmUp = Math.ceil(bursts / 4);
    for (let turn = 0; turn < warmUp + bursts; turn += 1) {
      if (turn === warmUp) cpuMs = server.cpuMs();
      const path = `/v1/realtime/poll?services=bench&wait=30&cursor=${cursor}`;
      const asked = wires.map((wire, index) => wire.send(httpRequest('GET', path, tokens[index] ?? '')));
      await pause(settleMs);
      const startMs = performance.now();
      const published = publisher.send(publish);
      const answers = await Promise.all(asked);
      await published;
      const lastMs = Math.max(...answers.map(({ atMs }) => atMs)) - startMs;
      const parsed = answers.map(
        (answer) => JSON.parse(answer.body.toString()) as { cursor: string; events?: unknown[] },
      );
      cursor = parsed[0]?.cursor ?? cursor;
      if (turn < warmUp) continue;
      // A poll that was answered before the event was published was not held.
      if (answers.some(({ atMs }) => atMs < startMs)) throw new Error('a poll was not held');
      errors += answers.filter(
        ({ status }, index) => status !== 200 || parsed[index]?.events?.length !== 1,
      ).length;
      measured.push({ answersPerS: polls / (lastMs / 1000), lastMs });
    }
    cpuMs = server.cpuMs() - cpuMs;
    for (const wire of [...wires, publisher]) wire.close();
    return { bursts: measured, cpuUsEach: (cpuMs * 1000) / (polls * bursts), errors };
  } finally {
    await server.stop();
  }
}

async function main(): Promise<void> {
  const pinned = pinLoad();
  const tokens = await Promise.all(Array.from({ length: polls }, (_, i) => userToken('bench', `user-${i}`)));
  const contenders = chosen([
    { name: 'gateway', start: () => startGateway() },
    { name: 'hono, c.json', start: standIn('polls-hono') },
    { name: 'node:http, bytes made once', start: standIn('polls-bare') },
  ]);
  const measured = new Map<string, Round[]>(contenders.map(({ name }) => [name, []]));
  for (let turn = 0; turn < rounds; turn += 1)
    for (const { name, start } of contenders) measured.get(name)?.push(await measure(start, tokens));
  const rows: Row[] = [...measured].map(([server, of]) => {
    const all = of.flatMap((one) => one.bursts);
    return {
      server,
      'answers/s': round(median(all.map(({ answersPerS }) => answersPerS))),
      'last answer ms': round(median(all.map(({ lastMs }) => lastMs)), 1),
      'CPU µs/poll, asked and answered': round(median(of.map(({ cpuUsEach }) => cpuUsEach)), 1),
      errors: of.reduce((sum, one) => sum + one.errors, 0),
    };
  });
  report('polls', { pinned, polls, bursts, rounds }, rows);
}

await main();
process.exit(0);
