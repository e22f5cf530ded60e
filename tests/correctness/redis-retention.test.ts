/** TURNOUT_RETENTION_BYTES holds in Redis too: for new logs, for those of older versions, and at a small price an append. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { retainedBytes } from '../../src/log/entry.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { event, eventRun, page, seqRun, seqsOf } from '../conformance/event-log-harness.ts';
import { openRedisLog } from '../conformance/redis-harness.ts';
import { RedisServer } from '../support/redis.ts';

const retentionBytes = 256 * 1024;
let server: RedisServer;
let log: EventLog;

beforeAll(async () => {
  server = await RedisServer.start();
}, 240_000);
afterAll(() => server.stop());

beforeEach(async ({ onTestFinished }) => {
  await server.client.flushall();
  const opened = await openRedisLog(server.url, 't', { retentionBytes });
  log = opened.log;
  onTestFinished(opened.close);
});

/** Appends as an older version does: nothing is counted, nothing dropped by bytes. */
async function fillAsOlder(count: number): Promise<void> {
  const meta = await server.client.hmget('t:{acme}:meta', 'seq', 'ms', 'tag');
  const ms = Math.max(Number(meta[1]), Date.now());
  let [seq, tag] = [Number(meta[0]), meta[2] ?? ''];
  const pipeline = server.client.pipeline();
  for (let made = 0; made < count; made += 1) {
    seq += 1;
    const entry = `tag${seq}\n${tag}\n\n"id":"o${seq}","service":"a","type":"t"\n,"payload":"${'x'.repeat(900)}"}`;
    tag = `tag${seq}`;
    pipeline.xadd('t:{acme}:stream', `${ms}-${seq}`, 'e', entry);
  }
  pipeline.hset('t:{acme}:meta', 'seq', seq, 'ms', ms, 'tag', tag);
  await pipeline.exec();
}

/** The newest entries that fit are kept, and no more. */
async function expectExact(): Promise<void> {
  const { entries, head } = await page(log, 'acme', { at: 'earliest' });
  const bytes = entries.reduce((sum, entry) => sum + retainedBytes(entry), 0);
  expect(seqsOf(entries)).toEqual(seqRun(head.seq - entries.length + 1, head.seq));
  expect(bytes).toBeLessThanOrEqual(retentionBytes);
  // An entry of an older version has 1,000 bytes: one more would not fit.
  expect(bytes).toBeGreaterThan(retentionBytes - 1100);
}

const metaOf = async () => (await server.client.hget('t:{acme}:meta', 'kept'))?.split(' ') ?? [];

it('keeps an org in Redis within its bytes, however large its events', async () => {
  for (let n = 0; n < 60; n += 1)
    await log.append('acme', 'api', [event(`e${n}`, { payload: 'x'.repeat(60_000) })]);
  const stored = Number(await server.client.call('MEMORY', 'USAGE', 't:{acme}:stream', 'SAMPLES', '0'));
  expect(stored).toBeLessThan(retentionBytes * 1.5);
});

it('counts a log that an older version has left, a hundred entries at each append, and bounds it', async () => {
  await log.append('acme', 'api', eventRun(1, 1));
  await server.client.hdel('t:{acme}:meta', 'kept');
  await fillAsOlder(2000);
  for (let n = 1; n <= 3; n += 1) {
    await log.append('acme', 'api', [event(`new-${n}`)]);
    const { entries } = await page(log, 'acme', { at: 'earliest' });
    if (n < 3) expect(entries.length).toBe(2001 + n);
  }
  await expectExact();
});

it('leaves all of a small log of an older version, and counts it to its beginning', async () => {
  await log.append('acme', 'api', eventRun(1, 1));
  await fillAsOlder(150);
  for (const n of [1, 2]) await log.append('acme', 'api', [event(`new-${n}`)]);
  const { entries } = await page(log, 'acme', { at: 'earliest' });
  expect(seqsOf(entries)).toEqual(seqRun(1, 153));
  const bytes = entries.reduce((sum, entry) => sum + retainedBytes(entry), 0);
  expect((await metaOf()).slice(0, 3)).toEqual([String(bytes), '-', '1']);
});

it('finds its count again after a node of an older version has appended, or trimmed', async () => {
  await log.append('acme', 'api', eventRun(1, 1));
  await fillAsOlder(400);
  for (let round = 1; round <= 3; round += 1) {
    for (let n = 0; n < 4; n += 1) await log.append('acme', 'api', [event(`${round}-${n}`)]);
    await expectExact();
    await fillAsOlder(20);
  }
  for (let n = 0; n < 4; n += 1) await log.append('acme', 'api', [event(`last-${n}`)]);
  await server.client.xtrim('t:{acme}:stream', 'MAXLEN', 30);
  // The count is too high by what was trimmed: that must drop nothing that fits.
  for (let n = 0; n < 3; n += 1)
    await log.append('acme', 'api', [event(`after-${n}`, { payload: 'x'.repeat(10_000) })]);
  const { entries } = await page(log, 'acme', { at: 'earliest' });
  expect(entries).toHaveLength(33);
  const bytes = entries.reduce((sum, entry) => sum + retainedBytes(entry), 0);
  expect((await metaOf())[0]).toBe(String(bytes));
});

it('reads in each append about what it drops, and not the log', async () => {
  for (let n = 0; n < 400; n += 1)
    await log.append('acme', 'api', [event(`e${n}`, { payload: 'x'.repeat(900) })]);
  await expectExact();
  const calls = async () => {
    const stats = await server.client.info('commandstats');
    return Number(/cmdstat_xrange:calls=(\d+)/.exec(stats)?.[1]);
  };
  const before = await calls();
  for (let n = 0; n < 100; n += 1)
    await log.append('acme', 'api', [event(`f${n}`, { payload: 'x'.repeat(900) })]);
  expect((await calls()) - before).toBeLessThanOrEqual(250);
});
