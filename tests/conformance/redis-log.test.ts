/** The log on a single Redis keeps the port's promises. */
import { afterAll, beforeAll } from 'vitest';
import { RedisServer } from '../support/redis.ts';
import { eventLogConformance } from './event-log.ts';
import { redisLogHarness } from './redis-harness.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
}, 240_000);
afterAll(() => server.stop());

eventLogConformance('on a single Redis', () =>
  redisLogHarness(server.url, {
    call: (command, args) => server.client.call(command, args),
    flush: async () => {
      await server.client.flushall();
    },
  }),
);
