/** One org whose keys in Redis are damaged, beside a sound one: each is told the truth, and the sound one misses nothing. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EventLog, LogDamaged } from '../../src/log/event-log.ts';
import { HeadChecks } from '../../src/log/redis-heads.ts';
import { event, eventRun, fromLastSeq, page, roomy, seqsOf } from '../conformance/event-log-harness.ts';
import { openRedisLog, readLive } from '../conformance/redis-harness.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/until.ts';

let server: RedisServer;
let log: EventLog;
let told: string[];
let words: Set<string>;

beforeAll(async () => {
  server = await RedisServer.start();
}, 240_000);
afterAll(() => server.stop());

beforeEach(async ({ onTestFinished }) => {
  await server.client.flushall();
  told = [];
  words = new Set();
  const opened = await openRedisLog(server.url, 't', {
    onDamaged: (org) => told.push(org),
    onError: (what) => words.add(what),
  });
  log = opened.log;
  onTestFinished(opened.close);
  await log.append('good', 'api', eventRun(1, 6));
});

describe('an org is damaged, others are not', () => {
  it.each([
    ['a stream of another type', 'WRONGTYPE', () => server.client.set('t:{bad}:stream', 'x')],
    ['a meta of another type', 'WRONGTYPE', () => server.client.set('t:{bad}:meta', 'x')],
    ['a head that is no number', 'unreadable', () => server.client.hset('t:{bad}:meta', 'seq', 'x')],
    [
      'an entry without a line break',
      'unreadable',
      () => server.client.xadd('t:{bad}:stream', 'MAXLEN', 1, '99999999999999-0', 'e', 'x'),
    ],
    ['an entry of garbage', 'unreadable', () => server.client.xadd('t:{bad}:stream', '*', 'x', 'garbage')],
    ['recipients of garbage', 'unreadable', () => server.client.xadd('t:{bad}:stream', '*', 'e', recipients)],
  ])('%s: the log stays up, and other orgs read and write', async (what, word, damage) => {
    await log.append('bad', 'api', eventRun(1, 3));
    if (word === 'WRONGTYPE')
      await server.client.del(what.includes('meta') ? 't:{bad}:meta' : 't:{bad}:stream');
    await damage();
    for (let look = 0; look < 40; look += 1) {
      await expect(log.read('bad', { at: 'earliest' }, roomy)).rejects.toBeInstanceOf(LogDamaged);
      expect(log.health()).toMatchObject({ isUp: true, isReachable: true });
      expect(seqsOf((await page(log, 'good', fromLastSeq(0))).entries)).toHaveLength(6 + look);
      await log.append('good', 'api', [event(`more-${look}`)]);
    }
    expect([...words]).toEqual([word]);
    expect(told).toEqual(['bad']);
  });

  it('is told with the code of a log that is away, so that its publishers try again later', async () => {
    await server.client.set('t:{bad}:meta', 'x');
    await expect(log.append('bad', 'api', eventRun(1, 1))).rejects.toMatchObject({
      code: 'log_unavailable',
      message: "this org's log is damaged",
    });
  });

  it('leaves the log up where memory was short for one large append alone', async () => {
    const used = Number(/used_memory:(\d+)/.exec(await server.client.info('memory'))?.[1]);
    await server.client.config('SET', 'maxmemory', used + 500_000);
    try {
      const large = Array.from({ length: 15 }, (_, n) =>
        event(`large-${n}`, { payload: 'x'.repeat(60_000) }),
      );
      await expect(log.append('bad', 'api', large)).rejects.toMatchObject({ code: 'log_unavailable' });
      expect([...words]).toEqual(['OOM']);
      expect(log.health().isUp).toBe(true);
      await log.append('good', 'api', eventRun(7, 7));
    } finally {
      await server.client.config('SET', 'maxmemory', 0);
    }
  });

  it('finds a Redis that is full for everybody at the first append that it refuses', async () => {
    await server.client.config('SET', 'maxmemory', 1);
    try {
      await expect(log.append('bad', 'api', eventRun(1, 1))).rejects.toMatchObject({
        code: 'log_unavailable',
      });
      await until(() => log.health().isUp, 'the log to be down', false);
      expect(log.health()).toMatchObject({ isReachable: true });
      expect(log.health().detail).toContain('OOM');
      expect(seqsOf((await page(log, 'good', fromLastSeq(0))).entries)).toHaveLength(6);
    } finally {
      await server.client.config('SET', 'maxmemory', 0);
    }
    await until(() => log.health().isUp, 'the log to be back');
  });
});

it("a sound org's streams miss nothing while the org beside it is damaged, whose own streams are told", async () => {
  await log.append('bad', 'api', eventRun(1, 3));
  const [bad, good] = [await readLive(log, 'bad'), await readLive(log, 'good')];
  for (let n = 0; n < 100; n += 1) {
    if (n === 20) await server.client.set('t:{bad}:stream', 'x');
    if (n === 20) await server.client.publish('t:{bad}:tail', 'a garbage');
    await log.append('good', 'api', [event(`live-${n}`)]);
  }
  await until(() => good.client.seqs.length, 'the sound org', 100);
  await until(() => bad.client.faults.length, 'the damaged org to be told');
  expect(good.client.seqs).toEqual(Array.from({ length: 100 }, (_, n) => 7 + n));
  expect(good.client.faults).toEqual([]);
  expect(bad.client.faults[0]).toBeInstanceOf(LogDamaged);
  await Promise.all([bad.close(), good.close()]);
});

it('compares a head that fails less and less often, and not ten times a second', async () => {
  const clock = new FakeClock();
  let asked = 0;
  let failed = 0;
  const checks = new HeadChecks({
    clock,
    keep: () => Promise.reject(new Error(`failure ${(asked += 1)}`)),
    isReady: () => true,
    onError: () => (failed += 1),
  });
  const bad = { org: 'bad', heard: undefined, places: undefined, failures: 0, tell: () => undefined };
  checks.add(bad);
  checks.checkSoon(bad);
  for (let step = 0; step < 600; step += 1) {
    clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  checks.close();
  expect(failed).toBe(asked);
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThan(30);
});

const recipients = 'tag\nbefore\n5\n"id":"x","service":"finance","type":"t"\n,"payload":1}';
