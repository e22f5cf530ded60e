/** The log on a master that Sentinels name keeps the port's promises, and follows them to the next master. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisSentinels } from '../support/redis-fleet.ts';
import { sleep, until } from '../support/until.ts';
import { event, eventRun, listen, page, seqRun, seqsOf } from './event-log-harness.ts';
import { eventLogConformance } from './event-log.ts';
import { openRedisLog, redisLogHarness } from './redis-harness.ts';

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
    const tail = await listen(log, 'acme');
    await log.append('acme', 'api', eventRun(1, 20));
    await until(() => tail.entries().length === 20);
    expect(await fleet.master.client.wait(1, 5000)).toBe(1);
    await fleet.master.kill();
    await until(async () => (await fleet.current()) === fleet.replica, 'the failover', 30_000);
    for (let n = 21; tail.entries().at(-1)?.seq !== n - 1 || n < 30; n += 1) {
      expect(n).toBeLessThan(200);
      for (;;) {
        const answer = await log.append('acme', 'api', [event(`e${n}`)]).catch(() => undefined);
        if (answer !== undefined) break;
        await sleep(50);
      }
      await sleep(50);
    }
    const { entries } = await page(log, 'acme', { at: 'earliest' });
    expect(seqsOf(entries)).toEqual(seqRun(1, entries.length));
    expect(log.health().isUp).toBe(true);
    await close();
  });
});
