/** Redis servers and logs of a test's own, ended with it, so that tests run side by side: most of their time they wait. */
import { test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import type { RedisLogOptions } from '../../src/log/redis-log.ts';
import { openRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { RedisServer } from '../support/redis.ts';
import { type OpenedLog, openRedisLog, redisLogOn } from './redis-harness.ts';

type RedisOptions = Parameters<typeof RedisServer.start>[0];

export const it = test
  .extend('closers', ({ onTestFinished }) => {
    const closers: (() => Promise<void>)[] = [];
    onTestFinished(async () => {
      for (const close of closers.toReversed()) await close();
    });
    return closers;
  })
  .extend('serve', ({ closers }) => async (options: RedisOptions = {}): Promise<RedisServer> => {
    const server = await RedisServer.start(options);
    closers.push(() => server.stop());
    return server;
  })
  .extend('server', ({ serve }) => serve())
  .extend(
    'logAt',
    ({ closers }) =>
      async (url: string, more: Partial<RedisLogOptions> = {}): Promise<EventLog> => {
        const opened = await openRedisLog(url, 't', more);
        closers.push(opened.close);
        return opened.log;
      },
  )
  .extend('mutedLogAt', ({ closers }) => async (url: string, org: string): Promise<EventLog> => {
    const opened = await openMutedLog(url, org);
    closers.push(opened.close);
    return opened.log;
  });

/** A log whose appends are stored and told to nobody: what a tail that lost messages has missed. */
async function openMutedLog(url: string, org: string): Promise<OpenedLog> {
  const real = openRedis({ url, clock: systemClock, timeoutMs: 2000, onError: () => undefined });
  const commands: RedisConnection['commands'] = {
    call: (command, args) =>
      real.commands.call(
        command,
        args.map((arg) => (arg === `t:{${org}}:tail` ? 'nobody' : arg)),
      ),
  };
  const connection: RedisConnection = {
    ...real,
    commands,
    get isReady() {
      return real.isReady;
    },
  };
  const log = redisLogOn(connection, { nodeId: 'muted' });
  const close = async (): Promise<void> => {
    await log.close();
    real.close();
  };
  await real.ready(5000);
  return { log, close };
}
