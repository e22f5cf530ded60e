/** The outages of outage.test.ts again, with other seeds, longer, and one that needs a second Redis: a failover that loses writes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gateway } from '../support/node-process.ts';
import type { Outage } from '../support/outage.ts';
import { lossless, sound, startNodes, suiteFleet, survive } from '../support/outage-fleet.ts';
import { RedisServer } from '../support/redis.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { sleep, until } from '../support/until.ts';

const repeats = 3;
const frozenMs = 10_000;

describe('one Redis', () => {
  const outcomeOf = suiteFleet(frozenMs);

  for (let turn = 1; turn <= repeats; turn += 1) {
    it.each(['killed', 'frozen', 'full', 'tailKilled', 'commandsKilled'] as const)(
      `loses nothing when it is %s, turn ${turn}`,
      async (name) => {
        const outcome = await outcomeOf(name, `, turn ${turn}`);
        expect(outcome).toMatchObject(lossless);
      },
    );
    it.each(['rewound', 'emptied'] as const)(
      `tells every reader when it is %s, turn ${turn}`,
      async (name) => {
        const outcome = await outcomeOf(name, `, turn ${turn}`);
        expect(outcome).toMatchObject(sound);
        expect(outcome.resets).not.toBe('0');
      },
    );
  }
});

describe('a failover that loses writes', () => {
  let master: RedisServer;
  let replica: RedisServer;
  let address: TcpProxy;
  let gateways: readonly Gateway[];
  beforeAll(async () => {
    master = await RedisServer.start({ appendOnly: true });
    replica = await RedisServer.start({ appendOnly: true, replicaOf: master });
    address = await startProxy(`http://127.0.0.1:${master.port}`);
    gateways = await startNodes(address.url.replace('http', 'redis'));
    await until(async () => /master_link_status:up/.test(await replica.client.info('replication')));
  }, 240_000);
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.kill()));
    await address.close();
    await Promise.all([replica.stop(), master.stop()]);
  });

  it('tells every reader ahead or fork, once the address leads to the new master', async () => {
    const strike = async (outage: Outage): Promise<number> => {
      // From here on what the master takes is lost with it.
      await replica.client.replicaof('NO', 'ONE');
      await outage.untilRead();
      await sleep(500);
      await master.kill();
      await outage.untilFelt();
      address.target = `http://127.0.0.1:${replica.port}`;
      return performance.now();
    };
    const outcome = await survive(gateways, { name: 'failover', keeps: 'later', isFelt: true, strike });
    expect(outcome).toMatchObject(sound);
    expect(outcome.lost).toBeGreaterThan(0);
    expect(outcome.resets).toMatch(/^(\d+ (ahead|fork)(, )?)+$/);
  });
});
