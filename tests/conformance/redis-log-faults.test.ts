/** What only a log in Redis can suffer, on real servers: lost writes, old files, deaf tails, a Redis that is full or frozen. */
import { inspect } from 'node:util';
import { describe, expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { openRedis } from '../../src/redis/connections.ts';
import { RedisProxy } from '../support/redis-proxy.ts';
import { sleep, until } from '../support/until.ts';
import {
  after,
  event,
  eventRun,
  fromCursor,
  listen,
  page,
  resetReason,
  seqRun,
  seqsOf,
} from './event-log-harness.ts';
import { it } from './own-redis.ts';
import { publishUntilKept, readLive, redisLogOn } from './redis-harness.ts';

const away = { code: 'log_unavailable' };

async function isBack(log: EventLog): Promise<void> {
  await until(
    () => log.health().isUp,
    () => `the log to be back: ${log.health().detail}`,
  );
}

const isInterrupted = (tail: Awaited<ReturnType<typeof listen>>): boolean =>
  tail.messages.some(({ kind }) => kind === 'interrupted');

describe.concurrent('a Redis that lost writes', () => {
  it('is a fork after a failover: same seqs, other tags', async ({ serve, logAt }) => {
    const master = await serve();
    const replica = await serve({ replicaOf: master });
    const log = await logAt(master.url);
    await log.append('acme', 'api', eventRun(1, 5));
    await until(async () => (await replica.client.hget('t:{acme}:meta', 'seq')) === '5');
    // The replica is cut off and goes on alone; what the master acknowledges from here on is lost.
    await replica.client.replicaof('NO', 'ONE');
    await log.append('acme', 'api', eventRun(6, 8));
    const { entries: old, from } = await page(log, 'acme', { at: 'earliest' });
    const cursors = seqRun(0, 8).map((seq) => after(from, old.slice(0, seq)));
    await master.kill();

    const next = await logAt(replica.url);
    expect(await resetReason(next, 'acme', fromCursor(cursors[6]!))).toBe('ahead');
    // A publisher that was acknowledged doesn't retry; others take the seqs.
    await next.append('acme', 'other', eventRun(20, 22));
    for (const cursor of cursors.slice(0, 6))
      expect(seqsOf((await page(next, 'acme', fromCursor(cursor))).entries)).toEqual(
        seqRun(cursor.seq + 1, 8),
      );
    for (const cursor of cursors.slice(6))
      expect(await resetReason(next, 'acme', fromCursor(cursor))).toBe('fork');
  });

  it('is told apart when it comes back with an older file', async ({ server, logAt }) => {
    const log = await logAt(server.url);
    await log.append('acme', 'api', eventRun(1, 5));
    const { head: kept } = await page(log, 'acme', { at: 'head' });
    await server.snapshot();
    await log.append('acme', 'api', eventRun(6, 8));
    const tail = await listen(log, 'acme');
    const { head: lost } = await page(log, 'acme', { at: 'head' });
    await server.restartRewound();
    await isBack(log);
    await until(() => isInterrupted(tail), 'the tail to be told');
    expect(await resetReason(log, 'acme', fromCursor(lost))).toBe('ahead');
    expect((await page(log, 'acme', fromCursor(kept))).entries).toEqual([]);
    // Ids that were lost with their events are stored again.
    expect((await log.append('acme', 'api', eventRun(6, 8))).results.map(({ seq }) => seq)).toEqual([
      6, 7, 8,
    ]);
    expect(await resetReason(log, 'acme', fromCursor(lost))).toBe('fork');
    expect(seqsOf((await page(log, 'acme', fromCursor(kept))).entries)).toEqual([6, 7, 8]);
  });

  it('begins a new epoch when it comes back empty, and interrupts its tails', async ({ server, logAt }) => {
    const log = await logAt(server.url);
    await log.append('acme', 'api', eventRun(1, 5));
    const tail = await listen(log, 'acme');
    const { head } = await page(log, 'acme', { at: 'head' });
    await server.restartEmpty();
    await isBack(log);
    await until(() => isInterrupted(tail), 'the tail to be told');
    expect(await resetReason(log, 'acme', fromCursor(head))).toBe('epoch');
    expect(await log.append('acme', 'api', [event('e1')])).toMatchObject({ results: [{ seq: 1, id: 'e1' }] });
    expect(await resetReason(log, 'acme', fromCursor(head))).toBe('epoch');
  });

  it('drops what is left of an org whose meta is gone, rather than mixing two epochs', async ({
    server,
    logAt,
  }) => {
    const log = await logAt(server.url);
    const { epoch } = await log.append('acme', 'api', eventRun(1, 5));
    await server.client.del('t:{acme}:meta');
    const anew = await log.append('acme', 'api', eventRun(1, 2));
    expect(anew.epoch).not.toBe(epoch);
    expect(anew.results).toEqual([
      { seq: 1, id: 'e1' },
      { seq: 2, id: 'e2' },
    ]);
    expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual([1, 2]);
  });
});

describe.concurrent('a tail that missed something', () => {
  it('is told so after its connection was cut, and only where something was missed', async ({
    server,
    logAt,
    mutedLogAt,
  }) => {
    const log = await logAt(server.url);
    const muted = await mutedLogAt(server.url, 'acme');
    for (const org of ['acme', 'quiet']) await log.append(org, 'api', eventRun(1, 1));
    const [missing, quiet] = [await listen(log, 'acme'), await listen(log, 'quiet')];
    for (const org of ['acme', 'quiet']) await page(log, org, { at: 'head' });
    await muted.append('acme', 'api', eventRun(2, 2));
    await server.client.call('CLIENT', ['KILL', 'TYPE', 'pubsub']);
    await until(() => isInterrupted(missing), 'the tail to be told');
    await log.append('quiet', 'api', eventRun(2, 2));
    await until(() => quiet.entries().length === 1);
    await sleep(1500);
    expect(quiet.messages.map(({ kind }) => kind)).toEqual(['appended']);
  });

  it('is told so without any reconnect, by its head', async ({ server, logAt, mutedLogAt }) => {
    const log = await logAt(server.url);
    const muted = await mutedLogAt(server.url, 'acme');
    await log.append('acme', 'api', eventRun(1, 1));
    const tail = await listen(log, 'acme');
    await page(log, 'acme', { at: 'head' });
    await muted.append('acme', 'api', eventRun(2, 2));
    await until(() => isInterrupted(tail), 'the tail to be told');
    expect(tail.entries()).toEqual([]);
  });

  it('is made anew when it hears nothing although its connection stands', async ({
    closers,
    server,
    logAt,
  }) => {
    const proxy = await RedisProxy.start(server.port);
    closers.push(() => proxy.stop());
    let deaf = 0;
    const log = await logAt(proxy.url, {
      onDeaf: () => {
        deaf += 1;
        proxy.heal();
      },
    });
    await log.append('acme', 'api', eventRun(1, 1));
    const tail = await listen(log, 'acme');
    await page(log, 'acme', { at: 'head' });
    proxy.deafen();
    await log.append('acme', 'api', eventRun(2, 2));
    await until(() => deaf, 'the deaf tail to be found');
    await until(() => isInterrupted(tail), 'the tail to be told');
    for (let n = 3; tail.entries().length === 0 && n < 200; n += 1) {
      await log.append('acme', 'api', eventRun(n, n));
      await sleep(50);
    }
    expect(tail.entries()).not.toEqual([]);
    expect(deaf).toBe(1);
  });

  it('leaves its reader with every event once, however often connections are killed', async ({
    closers,
    server,
    logAt,
  }) => {
    const log = await logAt(server.url);
    const { client, close } = await readLive(log, 'acme');
    closers.push(close);
    let refused = 0;
    for (let n = 1; n <= 300; n += 1) {
      if (n % 40 === 0)
        await server.client.call('CLIENT', ['KILL', 'TYPE', n % 80 === 0 ? 'normal' : 'pubsub']);
      refused += (await publishUntilKept(log, 'acme', `e${n}`)).refused;
    }
    await until(
      () => client.seqs.at(-1),
      () => `300; ${client.seqs.length} came`,
      300,
    );
    expect(client.seqs).toEqual(seqRun(1, 300));
    expect(client.resets).toEqual([]);
    expect(refused).toBeGreaterThan(0);
  });
});

describe.concurrent('a Redis that takes no writes', () => {
  it('refuses a publish whole when it is full, and goes on reading', async ({ server, logAt }) => {
    const log = await logAt(server.url);
    await log.append('acme', 'api', eventRun(1, 3));
    await server.client.config('SET', 'maxmemory', '1');
    await expect(log.append('acme', 'api', eventRun(4, 9))).rejects.toMatchObject(away);
    // One append may have been too large alone: the heartbeat shows that it is full for all.
    await until(() => log.health().detail.includes('OOM'), 'the log to be down');
    expect(log.health()).toMatchObject({ isUp: false, isReachable: true });
    expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual([1, 2, 3]);
    await server.client.config('SET', 'maxmemory', '0');
    expect((await log.append('acme', 'api', eventRun(4, 9))).results.map(({ seq }) => seq)).toEqual(
      seqRun(4, 9),
    );
    await isBack(log);
  });

  it('refuses a publish as a read-only replica, and takes it when it is a master again', async ({
    server,
    logAt,
  }) => {
    const log = await logAt(server.url);
    await log.append('acme', 'api', eventRun(1, 3));
    await server.client.replicaof('127.0.0.1', '1');
    await expect(log.append('acme', 'api', eventRun(4, 4))).rejects.toMatchObject(away);
    await until(() => !log.health().isUp);
    await server.client.replicaof('NO', 'ONE');
    await isBack(log);
    expect((await log.append('acme', 'api', eventRun(4, 4))).results).toEqual([{ seq: 4, id: 'e4' }]);
  });

  it('refuses within its time while frozen, and keeps each id once', async ({ server, logAt }) => {
    const log = await logAt(server.url);
    await log.append('acme', 'api', eventRun(1, 3));
    server.freeze();
    try {
      // Carried out once it thaws, though nobody heard so: the retry must find it.
      await expect(log.append('acme', 'api', eventRun(4, 4))).rejects.toMatchObject(away);
      expect(log.health()).toMatchObject({ isUp: false });
    } finally {
      server.thaw();
    }
    await isBack(log);
    const { results } = await log.append('acme', 'api', eventRun(4, 4));
    expect(results).toMatchObject([{ seq: 4, id: 'e4' }]);
    expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual([1, 2, 3, 4]);
  });
});

describe.concurrent('a Redis that wants another password', () => {
  it('says so in the health of the log, and shows the password to nobody', async ({ server, closers }) => {
    const [right, wrong] = ['the-right-password', 'a-wrong-password'];
    await server.client.config('SET', 'requirepass', right);
    const told: string[] = [];
    const connection = openRedis({
      url: `redis://:${wrong}@127.0.0.1:${server.port}`,
      clock: systemClock,
      timeoutMs: 2000,
      onError: (error) => told.push(inspect(error, { depth: 8 })),
    });
    const log = redisLogOn(connection);
    closers.push(async () => {
      await log.close();
      connection.close();
    });
    await until(() => log.health().detail.includes('refuses our password (WRONGPASS)'), 'the refusal');
    expect(told.join()).toContain('WRONGPASS');
    expect(told.join()).not.toContain(wrong);
    await server.client.config('SET', 'requirepass', wrong);
    await isBack(log);
    await server.kill();
    await until(() => !log.health().isUp);
    expect(log.health().detail).toContain('cannot be reached');
  });
});
