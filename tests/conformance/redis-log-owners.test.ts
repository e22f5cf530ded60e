/** A tail whose channel gets another owner, as on a Cluster: one server here, reached by a link for each owner. */
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { TcpLink } from '../support/tcp-link.ts';
import { sleep, until } from '../support/until.ts';
import { eventRun, listen, page } from './event-log-harness.ts';
import { it } from './own-redis.ts';
import { redisLogOn } from './redis-harness.ts';

it('is told of what was appended between its old owner and its new one', async ({ server, closers }) => {
  const links = { old: await TcpLink.open(server.port), new: await TcpLink.open(server.port) };
  const open = (url: string): RedisConnection =>
    openRedis({ url, clock: systemClock, timeoutMs: 2000, onError: () => undefined });
  const real = open(server.url);
  const subscribing = { old: open(links.old.url), new: open(links.new.url) };
  let owner: keyof typeof links = 'old';
  const connection: RedisConnection = {
    ...real,
    target: { ...real.target, kind: 'cluster' },
    get isReady() {
      return real.isReady;
    },
    ownerOf: () => owner,
    openSubscriber: (name) => subscribing[name === 'old' ? 'old' : 'new'].openSubscriber(),
  };
  const log = redisLogOn(connection);
  closers.push(async () => {
    await log.close();
    for (const one of [real, ...Object.values(subscribing)]) one.close();
    for (const link of Object.values(links)) link.close();
  });
  await real.ready(5000);

  await log.append('acme', 'api', eventRun(1, 1));
  const tail = await listen(log, 'acme');
  await page(log, 'acme', { at: 'head' });
  // So many that the next comparison of all heads takes the most of a minute.
  const quiet = await Promise.all(Array.from({ length: 120 }, (_, at) => listen(log, `quiet-${at}`)));
  for (let at = 0; at < quiet.length; at += 1) await page(log, `quiet-${at}`, { at: 'head' });
  const hearing = async (): Promise<unknown> =>
    ((await server.client.call('PUBSUB', ['SHARDNUMSUB', 't:{acme}:tail'])) as unknown[])[1];
  expect(await hearing()).toBe(1);

  links.new.cut();
  owner = 'new';
  await until(() => hearing(), 'the tail to leave its old owner', 0);
  // What is compared at once has been.
  await sleep(700);
  await log.append('acme', 'api', eventRun(2, 2));
  expect(tail.messages).toEqual([]);
  links.new.mend();
  await until(() => hearing(), 'the new owner to be heard', 1);
  await until(() => tail.messages.some(({ kind }) => kind === 'interrupted'), 'the tail to be told');
});
