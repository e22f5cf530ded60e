/** Looking for streams in another system's Redis, among many keys that are none: beside the reads, and in a share of its time. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { SourceFeed } from '../../src/legacy/bridge/source.ts';
import { RedisStreamSource } from '../../src/legacy/bridge/sources/redis-stream.ts';
import { streamNames } from '../../src/legacy/bridge/sources/stream-names.ts';
import { bridgeProfile, streamSource } from '../support/bridge-profiles.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/until.ts';

const foreignKeys = 30_000;
const orgs = Array.from({ length: 50 }, (_, index) => `org-${index}`);

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.url);
  await redis.eval(
    `for key = 1, ARGV[1] do redis.call('SET', 'foreign:' .. key, '') end`,
    0,
    String(foreignKeys),
  );
  for (const org of orgs) await publish(org, 'first');
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

const publish = (org: string, id: string): Promise<string | null> =>
  redis.xadd(`old-stream:${org}`, '*', 'kind', 'k', 'data', id);

/** Runs a source until `ended`, and tells what it did, in order. */
function run(more: object = {}) {
  const ended = new AbortController();
  const did: string[] = [];
  const nothing = (): void => undefined;
  const { source } = bridgeProfile('old', { ...streamSource(server.url), ...more });
  if (source?.kind !== 'redis-stream') throw new Error('the profile has another source');
  const feed: SourceFeed = {
    signal: ended.signal,
    position: async () => undefined,
    take: async ({ org, items }) => {
      for (const { item } of items) did.push(`${org} ${(item as { fields: { data: string } }).fields.data}`);
    },
    gap: nothing,
    advise: () => did.push('advised'),
    worked: () => did.push('worked'),
    failed: (error) => did.push(String(error)),
  };
  const over = new RedisStreamSource(source, systemClock).run(feed);
  return { did, end: () => (ended.abort(), over) };
}

it('hands on events of the streams that are found while it still looks for others', async () => {
  const { did, end } = run();
  await until(() => orgs.every((org) => did.includes(`${org} first`)), 'the events of all streams');
  await until(() => did.includes('worked'), 'the end of the first look');
  // It counts as working once every stream is known; what it had found was read before.
  const before = did.slice(0, did.indexOf('worked'));
  expect(before.filter((line) => line.endsWith(' first')).length).toBeGreaterThan(0);
  await publish('org-7', 'second');
  await publish('a-new-org', 'its first');
  await until(() => did.includes('org-7 second'), 'an event of a known stream');
  await until(() => did.includes('a-new-org its first'), 'an event of a stream that is new');
  await end();
});

it('advises to list the orgs where there are many keys, and not where they are listed', async () => {
  const looking = run();
  await until(() => looking.did.includes('advised'), 'the advice');
  await looking.end();
  const listed = run({ orgs });
  await until(() => listed.did.includes('worked'), 'the first look');
  await listed.end();
  expect(listed.did).not.toContain('advised');
});

it('rests nine times as long as each step of a look took', async () => {
  const clock = new FakeClock();
  const stepMs = 10;
  const slow = {
    call: async (command: string, args: (string | number)[]) => {
      const reply = await redis.call(command, args);
      clock.advance(stepMs);
      return reply;
    },
  };
  const names = new Set<string>();
  let isOver = false;
  const look = (async () => {
    for await (const page of streamNames(slow, 'old-stream:*', clock, new AbortController().signal))
      for (const name of page.names) names.add(name);
    isOver = true;
  })();
  let rested = 0;
  await until(() => {
    // Only a rest lets time pass.
    if (clock.waits.length > rested) clock.advance(9 * stepMs);
    rested = clock.waits.length;
    return isOver;
  }, 'the end of the look');
  await look;
  expect(names.size).toBeGreaterThanOrEqual(orgs.length);
  expect(clock.waits.length).toBeGreaterThan(20);
  expect(new Set(clock.waits)).toEqual(new Set([9 * stepMs]));
});
