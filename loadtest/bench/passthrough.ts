/**
 * What standing in front of an old API costs: the time that it adds to a request, and how many requests it carries, next to
 * `http-proxy` and to nobody in between. `--priority` runs all of it ahead of the machine's other work. Exits non-zero where it misses loadtest/budgets.json.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Histogram } from 'hdr-histogram-js';
import { startGateway } from '../gateway.ts';
import { HttpWire, httpRequest } from '../http-wire.ts';
import {
  isQuick,
  median,
  newHistogram,
  numberOption,
  quantileMs,
  report,
  round,
  type Row,
} from '../report.ts';
import { goFirst, pinLoad, type ServerProcess, standIn } from '../server-process.ts';

const budgets = (
  JSON.parse(readFileSync(new URL('../budgets.json', import.meta.url), 'utf8')) as {
    passthrough: { addedP50Ms: number; shareOfHttpProxy: number };
  }
).passthrough;
// Many short turns: what a neighbour holds up is then spread over all contenders.
const rounds = numberOption('rounds', 15, 1);
const seconds = numberOption('seconds', 0.6, 0.2);
const connections = numberOption('connections', 64);
const bytes = numberOption('bytes', 1000);
// Until the code is compiled.
const warmUpMs = isQuick ? 100 : 2000;
const request = httpRequest('GET', '/api/updates?since=41&timeout=30', 'a-token-of-the-old-api');

interface Round {
  readonly requestsPerS: number;
  readonly cpuUsEach: number;
  readonly latency: Histogram;
  readonly errors: number;
}

/** Each connection asks again as soon as it is answered. */
async function ask(url: string, wires: number, forMs: number) {
  const latency = newHistogram();
  const open = await Promise.all(Array.from({ length: wires }, () => HttpWire.open(url)));
  const endMs = performance.now() + forMs;
  let [answers, errors] = [0, 0];
  const run = async (wire: HttpWire): Promise<void> => {
    for (let sentMs = performance.now(); sentMs < endMs; ) {
      const { status, body, atMs } = await wire.send(request);
      if (status !== 200 || body.length !== bytes) errors += 1;
      answers += 1;
      latency.recordValue(Math.max(1, Math.round((atMs - sentMs) * 1000)));
      sentMs = performance.now();
    }
  };
  await Promise.all(open.map(run));
  for (const wire of open) wire.close();
  return { latency, answers, errors };
}

async function measure(server: ServerProcess): Promise<Round> {
  const cpuMs = server.cpuMs();
  const full = await ask(server.url, connections, seconds * 1000);
  const cpuUsEach = ((server.cpuMs() - cpuMs) * 1000) / full.answers;
  // One at a time: what a request waits for is the way, not others.
  const single = await ask(server.url, 1, seconds * 1000);
  return {
    requestsPerS: full.answers / seconds,
    cpuUsEach,
    latency: single.latency,
    errors: full.errors + single.errors,
  };
}

async function main(): Promise<number> {
  const pinned = `${pinLoad()}, old backend on core 1`;
  const backend = await standIn('old-backend', { core: 1, env: { BYTES: String(bytes) } })();
  const folder = mkdtempSync(join(tmpdir(), 'turnout-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const profile = join(folder, 'old.json');
  writeFileSync(profile, JSON.stringify(profileOf(backend.url)));
  const contenders = [
    { name: 'nobody in between', server: backend },
    { name: 'gateway', server: await startGateway({ TURNOUT_PROFILES: profile }) },
    { name: 'http-proxy', server: await standIn('proxy-http-proxy', { env: { UPSTREAM: backend.url } })() },
  ];
  const wentFirst = process.argv.includes('--priority') && contenders.every(({ server }) => goFirst(server));
  const measured = new Map<string, Round[]>(contenders.map(({ name }) => [name, []]));
  for (const { server } of contenders) await ask(server.url, connections, warmUpMs);
  for (let turn = 0; turn < rounds; turn += 1)
    for (const { name, server } of contenders) measured.get(name)?.push(await measure(server));
  for (const { server } of contenders) await server.stop();

  const middle = (name: string, read: (round: Round) => number): number =>
    median((measured.get(name) ?? []).map(read));
  const rows: Row[] = contenders.map(({ name }) => ({
    server: name,
    'requests/s': round(middle(name, ({ requestsPerS }) => requestsPerS)),
    'CPU µs/request': round(
      middle(name, ({ cpuUsEach }) => cpuUsEach),
      1,
    ),
    'p50 ms': round(
      middle(name, ({ latency }) => quantileMs(latency, 50)),
      2,
    ),
    'p99 ms': round(
      middle(name, ({ latency }) => quantileMs(latency, 99)),
      2,
    ),
    errors: (measured.get(name) ?? []).reduce((sum, { errors }) => sum + errors, 0),
  }));
  // Of each round by itself: a neighbour that slows one round slows both.
  const share = median(
    (measured.get('gateway') ?? []).map(
      ({ requestsPerS }, turn) => requestsPerS / (measured.get('http-proxy')?.[turn]?.requestsPerS ?? 0),
    ),
  );
  const p50 = (name: string): number => middle(name, ({ latency }) => quantileMs(latency, 50));
  const addedP50Ms = round(p50('gateway') - p50('nobody in between'), 2);
  report(
    'passthrough',
    { pinned, wentFirst, connections, bytes, rounds, addedP50Ms, shareOfHttpProxy: round(share, 2) },
    rows,
  );
  const isFast = addedP50Ms <= budgets.addedP50Ms && share >= budgets.shareOfHttpProxy;
  const isMet = (isFast || isQuick) && rows.every(({ errors }) => errors === 0);
  console.log(
    `adds ${addedP50Ms} ms at p50 (at most ${budgets.addedP50Ms}), carries ${round(share, 2)} x what http-proxy does (at least ${budgets.shareOfHttpProxy}): ${isMet ? 'met' : 'MISSED'}`,
  );
  return isMet ? 0 : 1;
}

const profileOf = (upstream: string): unknown => ({
  name: 'old',
  match: { method: 'GET', path: '/api/updates' },
  upstream,
  request: {
    cursor: { in: 'query', name: 'since', format: 'integer' },
    wait: { in: 'query', name: 'timeout', unit: 's', default: 30, max: 60 },
    services: { fixed: ['updates'] },
  },
  response: {
    idle: { status: 204 },
    events: { status: 200, body: { updates: '$events', next: '$cursor' } },
    event: { id: '$.id' },
  },
});

process.exit(await main());
