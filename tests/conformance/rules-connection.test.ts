/** The connection that hears of new rules, over a real Redis whose operator forgets a right and gives it later. */
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openRedis } from '../../src/redis/connections.ts';
import { RulesConnection } from '../../src/rollout/rules/connection.ts';
import type { RedisServer } from '../support/redis.ts';
import { sleep, until } from '../support/until.ts';
import { it } from './own-redis.ts';

type Closers = (() => Promise<void>)[];

/** A connection of a user who may not subscribe, which asks for one channel all the same. */
async function refused(server: RedisServer, closers: Closers) {
  const setUser = (...words: string[]) => server.client.call('ACL', ['SETUSER', 'node', ...words]);
  await setUser('on', '>secret', '~*', '&*', '+@all', '-subscribe');
  const connection = openRedis({
    url: `redis://node:secret@127.0.0.1:${server.port}`,
    clock: systemClock,
    timeoutMs: 1000,
    onError: () => undefined,
  });
  const rules = new RulesConnection(connection, systemClock);
  closers.push(async () => {
    rules.close();
    connection.close();
  });
  const heard: string[] = [];
  rules.subscribe(
    'changed',
    (message) => heard.push(message),
    () => heard.push('it stands'),
  );
  const refusals = async (): Promise<number> =>
    Number(
      /cmdstat_subscribe:.*rejected_calls=(\d+)/.exec(await server.client.info('commandstats'))?.[1] ?? 0,
    );
  await until(() => refusals(), 'the refusal');
  return { heard, refusals, allow: () => setUser('+subscribe') };
}

it.concurrent('hears a channel once it may, though it was refused at first', async ({ server, closers }) => {
  const { heard, allow } = await refused(server, closers);
  await allow();
  await until(() => heard.length, 'the subscription');
  await server.client.publish('changed', 'new rules');
  await until(
    () => heard.length,
    'the message',
    (seen) => seen > 1,
  );
  expect(heard).toEqual(['it stands', 'new rules']);
});

it.concurrent('asks for it no more often after its connection was cut some times', async ({
  server,
  closers,
}) => {
  const { heard, refusals, allow } = await refused(server, closers);
  for (let cut = 0; cut < 8; cut += 1) {
    const before = await refusals();
    await server.client.call('CLIENT', ['KILL', 'USER', 'node']);
    await until(
      () => refusals(),
      'it to ask again',
      (seen) => seen > before,
    );
  }
  const before = await refusals();
  await sleep(1500);
  expect((await refusals()) - before).toBeLessThanOrEqual(4);
  await allow();
  await until(() => heard.length, 'the subscription');
  await sleep(600);
  expect(heard).toEqual(['it stands']);
});
