/** The Redis log under the conformance suite: time is real, so its windows are short; losses are made in Redis itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/clock.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Reader } from '../../src/hub/reader.ts';
import { TurnoutError } from '../../src/errors.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { createRedisLog, type RedisLogOptions } from '../../src/log/redis-log.ts';
import { openRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { until } from '../support/until.ts';
import { event, eventRun, type LogHarness } from './event-log-harness.ts';

/** What the harness does to the data behind the log's back: any client of the same server or Cluster. */
export interface RedisData {
  call(command: string, args: (string | number)[]): Promise<unknown>;
  /** Empties every server. */
  flush(): Promise<void>;
}

const window = { ms: 1500, ids: 1000 };

export interface OpenedLog {
  readonly log: EventLog;
  readonly close: () => Promise<void>;
}

/** A log on a connection of the test's own. */
export const redisLogOn = (connection: RedisConnection, more: Partial<RedisLogOptions> = {}): EventLog =>
  createRedisLog({
    connection,
    clock: systemClock,
    prefix: 't',
    nodeId: 'n',
    timeoutMs: 2000,
    retentionMs: 60_000,
    retentionEvents: 10_000,
    retentionBytes: 256 * 1024 * 1024,
    ...more,
  });

/** A log of its own on the Redis at `url`. Nothing is kept shorter than the suite needs it. */
export async function openRedisLog(
  url: string,
  prefix: string,
  more: Partial<RedisLogOptions> = {},
): Promise<OpenedLog> {
  const timeoutMs = 2000;
  const connection = openRedis({ url, clock: systemClock, timeoutMs, onError: () => undefined });
  const log = redisLogOn(connection, { prefix, nodeId: systemClock.id(), timeoutMs, ...more });
  await connection.ready(10_000);
  await until(() => log.health().isUp, 'the log to be up');
  return {
    log,
    close: async () => {
      await log.close();
      connection.close();
    },
  };
}

let prefixes = 0;

/** @param data of the server at `url`. */
export async function redisLogHarness(url: string, data: RedisData): Promise<LogHarness> {
  prefixes += 1;
  const prefix = `t${process.pid}-${prefixes}`;
  const opened = await openRedisLog(url, prefix, { idempotencyMs: window.ms, idempotencyIds: window.ids });
  const { log } = opened;
  const others: OpenedLog[] = [];
  const stream = (org: string) => `${prefix}:{${org}}:stream`;
  const rows = async (org: string) =>
    (await data.call('XRANGE', [stream(org), '-', '+'])) as [string, string[]][];
  return {
    log,
    window,
    advance: async (ms) => {
      await sleep(ms + 1);
    },
    async trim(org, firstKept) {
      const kept = (await rows(org)).find(([id]) => id.endsWith(`-${firstKept}`));
      await data.call('XTRIM', [stream(org), ...(kept === undefined ? ['MAXLEN', 0] : ['MINID', kept[0]])]);
    },
    /** The log is put back to where it was at `seq`, as a replica that had not heard the rest has it; then it goes on. */
    async fork(org, seq) {
      const all = await rows(org);
      const last = all[seq - 1];
      if (last === undefined) throw new Error('nothing stands there to fork after');
      for (const [id] of all.slice(seq)) await data.call('XDEL', [stream(org), id]);
      const [ms = ''] = last[0].split('-');
      const tag = (last[1][1] ?? '').split('\n')[0] ?? '';
      await data.call('XSETID', [stream(org), last[0]]);
      await data.call('HSET', [`${prefix}:{${org}}:meta`, 'seq', seq, 'ms', ms, 'tag', tag]);
      await log.append(org, 'after', eventRun(1000, 999 + all.length - seq));
    },
    loseEverything: () => data.flush(),
    async bounded(retention) {
      const other = await openRedisLog(url, `${prefix}-bounded`, retention);
      others.push(other);
      return other.log;
    },
    async close() {
      for (const one of [opened, ...others]) await one.close();
    },
  };
}

/** A client of `org` from its head on, behind a feed as a node has it: what it receives must be whole. */
export async function readLive(log: EventLog, org: string) {
  const retention = { ageMs: 60_000, events: 10_000, bytes: 256 * 1024 * 1024 };
  const hub = new Hub({ log, clock: systemClock, ringBytes: 1024 * 1024, lingerMs: 0, retention });
  const feed = await hub.acquire(org);
  const client = new ReadingClient();
  const reader = new Reader({
    feed,
    form: streamForm(undefined),
    sub: 'u',
    services: new Set(['finance']),
    position: feed.head,
    sink: client,
    clock: systemClock,
  });
  reader.pump();
  return { client, close: () => hub.close() };
}

/** Publishes one event under the same id until it is acknowledged. @returns its seq, and how often it was refused */
export async function publishUntilKept(log: EventLog, org: string, id: string) {
  for (let refused = 0; ; refused += 1) {
    try {
      const { results } = await log.append(org, 'api', [event(id)]);
      return { seq: results[0]?.seq ?? 0, refused };
    } catch (error) {
      if (!(error instanceof TurnoutError) || error.code !== 'log_unavailable') throw error;
      await sleep(20);
    }
  }
}
