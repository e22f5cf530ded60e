/** The key of tickets that nodes share in Redis: what a node makes of a Redis that takes no writes. */
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { shareTicketKey } from '../../src/auth/ticket-key.ts';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/until.ts';

let redis: RedisServer | undefined;
let connection: RedisConnection | undefined;
let stop: (() => void) | undefined;
afterEach(async () => {
  stop?.();
  connection?.close();
  await redis?.stop();
});

it('a node that starts while Redis takes no writes signs with the key that the others have', async () => {
  redis = await RedisServer.start();
  await redis.client.set('turnout:ticket-key', 'theirs');
  // Full, as OOM; what cannot be saved (MISCONF) and a replica (READONLY) refuse the same.
  await redis.client.config('SET', 'maxmemory', '1');
  connection = openRedis({ url: redis.url, clock: systemClock, timeoutMs: 2000, onError: () => undefined });
  await connection.ready(10_000);
  const secrets: string[] = [];
  stop = shareTicketKey({
    redis: connection,
    prefix: 'turnout',
    clock: systemClock,
    onSecret: (secret) => void secrets.push(secret),
  });
  await until(() => secrets.length, 'the key');
  expect(secrets).toEqual(['theirs']);
});
