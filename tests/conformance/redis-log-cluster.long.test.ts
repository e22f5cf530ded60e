/** The log on a Cluster of three masters and three replicas keeps the port's promises, through a failover too. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCluster } from '../support/redis-fleet.ts';
import { sleep, until } from '../support/until.ts';
import { event, listen, page, seqRun, seqsOf } from './event-log-harness.ts';
import { eventLogConformance } from './event-log.ts';
import { openRedisLog, redisLogHarness } from './redis-harness.ts';

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
    const tail = await listen(log, 'acme');
    await page(log, 'acme', { at: 'head' });
    const kept: number[] = [];
    const publish = async (id: string): Promise<void> => {
      for (;;) {
        const answer = await log.append('acme', 'api', [event(id)]).catch(() => undefined);
        if (answer !== undefined) {
          kept.push(answer.results[0]?.seq ?? 0);
          return;
        }
        await sleep(50);
      }
    };
    for (const n of seqRun(1, 20)) await publish(`e${n}`);
    const master = await cluster.masterOf('failover:{acme}:meta');
    expect(await master.client.wait(1, 5000)).toBe(1);
    await master.kill();
    for (const n of seqRun(21, 40)) await publish(`e${n}`);
    expect(kept).toEqual(seqRun(1, 40));
    expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual(seqRun(1, 40));
    // Heard again on the new master, and told that something may be missing where it is.
    for (let n = 41; tail.entries().at(-1)?.seq !== kept.at(-1) && n < 400; n += 1) {
      await publish(`e${n}`);
      await sleep(50);
    }
    expect(tail.entries().at(-1)?.seq).toBe(kept.at(-1));
    const heard = seqsOf(tail.entries());
    const isWhole = heard.length === kept.length;
    expect(isWhole || tail.messages.some(({ kind }) => kind === 'interrupted')).toBe(true);
    await master.restart();
    await close();
  });
});
