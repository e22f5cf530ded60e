/** A bridge whose lane holds an org with a damaged log goes on with the others, and marks what that org has lost. */
import { expect, it } from 'vitest';
import { LogDamaged } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { createLogger } from '../../src/logger.ts';
import { BridgeFeed } from '../../src/legacy/bridge/feed.ts';
import { BridgeTally } from '../../src/legacy/bridge/health.ts';
import { LocalLease } from '../../src/legacy/bridge/lease.ts';
import { createDialect } from '../../src/legacy/dialect/profile-dialect.ts';
import { bodyOf, page } from '../conformance/event-log-harness.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { within } from '../support/until.ts';

const source = {
  kind: 'redis-pubsub' as const,
  url: 'redis://127.0.0.1:1',
  channel: 'updates:{org}',
  id: '$.id',
  type: '=t',
  payload: '$',
};

it('leaves a damaged org behind after a while, with a hole, and stores all of the others', async () => {
  const clock = new FakeClock({ runs: true });
  const inner = createMemoryLog({
    clock,
    retentionMs: 60_000,
    retentionEvents: 1000,
    retentionBytes: 1 << 20,
  });
  let isDamaged = true;
  const log: typeof inner = {
    ...inner,
    read: (...call) => inner.read(...call),
    async append(org, ...call) {
      if (org === 'bad' && isDamaged) throw new LogDamaged(new Error('WRONGTYPE'));
      return inner.append(org, ...call);
    },
  };
  const lease = new LocalLease('n');
  await lease.take(true);
  const tally = new BridgeTally(clock);
  const end = new AbortController();
  const dialect = createDialect(plainProfile('http://127.0.0.1:1', { source }));
  const parts = { dialect, log, lease, clock, tally, logger: createLogger('silent') };
  const feed = new BridgeFeed({ ...parts, signal: end.signal, onOver: () => undefined });
  await feed.position('lane');
  const take = (org: string, id: string) =>
    feed.take({
      lane: 'lane',
      org,
      items: [{ item: JSON.stringify({ id }), at: id, ms: clock.now() }],
      position: undefined,
    });
  const idsOf = async (org: string) =>
    (await page(inner, org, { at: 'earliest' })).entries.map((entry) => bodyOf(entry)['id']);

  const first = take('bad', '1');
  const skip = setInterval(() => clock.advance(1000), 20);
  await within(first, 'the damaged org to be left behind').finally(() => clearInterval(skip));
  for (const id of ['2', '3']) await take('good', id);
  await take('bad', '4');
  isDamaged = false;
  await take('bad', '5');
  expect(await idsOf('good')).toEqual(['2', '3']);
  expect(await idsOf('bad')).toEqual([expect.stringMatching(/^hole-/), '5']);
  expect(tally.counts).toMatchObject({ events: 3, duplicates: 0 });
  expect(tally.counts.gaps).toBeGreaterThanOrEqual(2);
  end.abort();
  await inner.close();
});
