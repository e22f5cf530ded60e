/** The log on a Cluster of three masters and three replicas keeps the port's promises, through a failover too. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../support/redis-fleet.ts';
import { until } from '../support/until.ts';
import { event, listen, page, seqRun, seqsOf } from './event-log-harness.ts';
import { eventLogConformance } from './event-log.ts';
import { openRedisLog, publishUntilKept, readLive, redisLogHarness } from './redis-harness.ts';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
}, 240_000);
afterAll(() => cluster.stop());

eventLogConformance('on a Redis Cluster', () =>
  redisLogHarness(cluster.url, {
    call: (command, args) => cluster.client.call(command, args),
    flush: () => cluster.flush(),
  }),
);

describe('the log on a Cluster', () => {
  it('spreads orgs over its masters and hears each', async () => {
    const { log, close } = await openRedisLog(cluster.url, 'spread');
    const orgs = seqRun(1, 30).map((n) => `org-${n}`);
    const tails = await Promise.all(orgs.map((org) => listen(log, org)));
    await Promise.all(orgs.map((org) => log.append(org, 'api', [event('e1')])));
    await until(() => tails.every((tail) => tail.entries().length === 1));
    expect(log.health().subscriptions).toBe(30);
    const masters = new Set(
      await Promise.all(orgs.map(async (org) => (await cluster.masterOf(`spread:{${org}}:meta`)).port)),
    );
    expect(masters.size).toBe(3);
    await close();
  });

  it('goes on when a master dies and its replica takes over: what was acknowledged and replicated is there', async () => {
    const { log, close } = await openRedisLog(cluster.url, 'failover');
    const live = await readLive(log, 'acme');
    const publish = async (n: number) => (await publishUntilKept(log, 'acme', `e${n}`)).seq;
    for (const n of seqRun(1, 20)) expect(await publish(n)).toBe(n);
    const master = await cluster.masterOf('failover:{acme}:meta');
    await until(async () => {
      const text = await master.client.info('replication');
      const offset = /master_repl_offset:(\d+)/.exec(text)?.[1];
      return text.includes(`offset=${offset},`);
    }, 'the replica to have everything');
    await master.kill();
    for (const n of seqRun(21, 60)) expect(await publish(n)).toBe(n);
    expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual(seqRun(1, 60));
    await until(
      () => live.client.seqs.length,
      'the reader to have all',
      (seen) => seen >= 60,
    );
    expect(live.client.seqs).toEqual(seqRun(1, 60));
    expect(live.client.resets).toEqual([]);
    await live.close();
    await master.restart();
    await close();
  });
});
