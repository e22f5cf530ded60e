/** The log on a master that Sentinels name keeps the port's promises, and follows them to the next master. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisSentinels } from '../support/redis-fleet.ts';
import { until } from '../support/until.ts';
import { page, seqRun, seqsOf } from './event-log-harness.ts';
import { eventLogConformance } from './event-log.ts';
import { openRedisLog, publishUntilKept, readLive, redisLogHarness } from './redis-harness.ts';

let fleet: RedisSentinels;
beforeAll(async () => {
  fleet = await RedisSentinels.start();
}, 240_000);
afterAll(() => fleet.stop());

eventLogConformance('behind Sentinels', () =>
  redisLogHarness(fleet.url, {
    call: (command, args) => fleet.master.client.call(command, args),
    flush: async () => {
      await fleet.master.client.flushall();
    },
  }),
);

describe('the log behind Sentinels', () => {
  it('follows a failover: what was replicated is there, and the tail hears the new master', async () => {
    const { log, close } = await openRedisLog(fleet.url, 'failover');
    const live = await readLive(log, 'acme');
    const publish = async (n: number) => (await publishUntilKept(log, 'acme', `e${n}`)).seq;
    for (const n of seqRun(1, 20)) expect(await publish(n)).toBe(n);
    const { replica } = fleet;
    await until(async () => (await replica.client.hget('failover:{acme}:meta', 'seq')) === '20');
    await fleet.master.kill();
    for (const n of seqRun(21, 60)) expect(await publish(n)).toBe(n);
    expect(await fleet.current()).toBe(replica);
    expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual(seqRun(1, 60));
    await until(
      () => live.client.seqs.length,
      'the reader to have all',
      (seen) => seen >= 60,
    );
    expect(live.client.seqs).toEqual(seqRun(1, 60));
    expect(live.client.resets).toEqual([]);
    await until(() => log.health().isUp);
    await live.close();
    await close();
  });
});
