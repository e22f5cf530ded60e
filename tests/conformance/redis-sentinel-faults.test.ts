/** A connection to a master that Sentinels name, where a Sentinel says something at the worst moment, or nothing. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openRedis } from '../../src/redis/connections.ts';
import { ScriptedSentinel } from '../support/scripted-sentinel.ts';
import { sleep, until } from '../support/until.ts';
import { it } from './own-redis.ts';

it.concurrent('comes back though the failover is told while it asks for the master', async ({
  server,
  closers,
}) => {
  const sentinel = await ScriptedSentinel.open(server.port);
  const connection = openRedis({
    url: `redis+sentinel://127.0.0.1:${sentinel.port}/main`,
    clock: systemClock,
    timeoutMs: 1000,
    onError: () => undefined,
  });
  const subscriber = connection.openSubscriber();
  subscriber.connect().catch(() => undefined);
  closers.push(async () => {
    subscriber.disconnect();
    connection.close();
    sentinel.close();
  });
  const areReady = (): boolean => connection.isReady && subscriber.status === 'ready';
  await until(() => areReady() && sentinel.listeners.size === 2, 'both connections, which hear of failovers');

  let told = 0;
  sentinel.beforeAnswer = async () => {
    if (told >= 2) return;
    told += 1;
    sentinel.tellFailover();
    await sleep(100);
  };
  await server.client.call('CLIENT', ['KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
  await until(() => told, 'both to ask for the master', 2);
  await until(areReady, 'both connections to be back');
  expect(await connection.commands.call('GET', ['any'])).toBeNull();
});

it.concurrent('asks the next Sentinel where one says nothing', async ({ server, closers }) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const address = silent.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  const sentinel = await ScriptedSentinel.open(server.port);
  const connection = openRedis({
    url: `redis+sentinel://127.0.0.1:${address.port},127.0.0.1:${sentinel.port}/main`,
    clock: systemClock,
    timeoutMs: 300,
    onError: () => undefined,
  });
  closers.push(async () => {
    connection.close();
    sentinel.close();
    silent.close();
  });
  await until(() => connection.isReady, 'the master, by the second Sentinel');
  expect(await connection.commands.call('GET', ['any'])).toBeNull();
});
