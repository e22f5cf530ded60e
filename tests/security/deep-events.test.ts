/** An event that is nested beyond the bounds: nobody can put one into the log, and a source that has one goes on. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { systemClock } from '../../src/clock.ts';
import { openBridges } from '../../src/legacy/bridge/bridge.ts';
import { envelopeOf } from '../../src/legacy/dialect/envelope.ts';
import { createDialect } from '../../src/legacy/dialect/profile-dialect.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { createLogger } from '../../src/logger.ts';
import { bridgeProfile, pollSource } from '../support/bridge-profiles.ts';
import { edgeApp } from '../support/edge-app.ts';
import { until } from '../support/until.ts';

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const everything = { maxEvents: 1000, maxBytes: 10_000_000 };

it('an end user’s event of 8 kB of brackets is refused, and what the log takes any legacy client can be written', async () => {
  const edge = edgeApp();
  const user = { publish: ['updates'] };
  const event = (depth: number): string =>
    `{"service":"updates","type":"note","id":"${depth}","payload":${nested(depth)}}`;
  for (const depth of [1, 100, limits.jsonDepth - 1, limits.jsonDepth, 1000, 4108])
    await edge.post('/v2/realtime/publish', event(depth), user);
  const page = await edge.log.read('acme', { at: 'earliest' }, everything);
  if (page.kind !== 'page') throw new Error(page.reason);
  const dialect = createDialect(bridgeProfile('old', pollSource(['acme'])));
  const written = page.entries.map((entry) => dialect.eventJson(envelopeOf(entry)));
  expect(written).toHaveLength(3);
  expect(written.every((json) => json.includes('"payload":['))).toBe(true);
});

it('a source’s item of 8 kB of brackets is counted, logged and a hole, and what follows it comes', async ({
  onTestFinished,
}) => {
  const item = (seq: number, payload: string): string => `{"seq":${seq},"kind":"note","payload":${payload}}`;
  const items = [item(1, '1'), item(2, nested(4108)), item(3, nested(4108)), item(4, '4')];
  const old = createServer((request, answer) => {
    const since = Number(new URL(request.url ?? '/', 'http://old').searchParams.get('since') ?? 0);
    const left = items.slice(since, since + 2);
    answer.end(`{"updates":[${left.join()}],"next":"${since + left.length}"}`);
  });
  await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(old.address() as AddressInfo).port}/`;
  const bounds = { retentionMs: 3_600_000, retentionEvents: 1000, retentionBytes: 1e7 };
  const log = createMemoryLog({ clock: systemClock, ...bounds });
  const lines: string[] = [];
  const bridges = openBridges({
    profiles: [bridgeProfile('old', { ...pollSource(['acme']), url })],
    log,
    redis: undefined,
    prefix: 'turnout',
    nodeId: 'node-a',
    clock: systemClock,
    logger: createLogger('info', { write: (line: string) => void lines.push(line) }),
    isOn: true,
  });
  onTestFinished(async () => {
    await bridges.close();
    old.closeAllConnections();
    old.close();
    await log.close();
  });
  const stored = async () => {
    const page = await log.read('acme', { at: 'earliest' }, everything);
    return page.kind === 'page' ? page.entries : [];
  };
  await until(async () => (await stored()).length === 4, 'four places in the log');
  expect((await stored()).map((entry) => [envelopeOf(entry).id, entry.service])).toEqual([
    ['1', 'updates'],
    ['2', 'turnout/hole'],
    ['3', 'turnout/hole'],
    ['4', 'updates'],
  ]);
  const [report] = bridges.report();
  expect(report).toMatchObject({ state: 'leading', lastError: null, counts: { badItems: 2, restarts: 0 } });
  expect(lines.filter((line) => line.includes('nested'))).toHaveLength(2);
});
