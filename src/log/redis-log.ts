/**
 * The event log of a fleet, in Redis: every append is one script, so that what is stored, known by its id and told to the
 * tails are one. It keeps nothing of an org but its tails; each answer is what Redis said.
 */
import { LRUCache } from 'lru-cache';
import { limits } from '../../schema/codes.ts';
import type { OnFault } from '../async/faults.ts';
import type { Clock } from '../clock.ts';
import { fail, type TurnoutError } from '../errors.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { RedisScript } from '../redis/script.ts';
import type { Position } from './cursor.ts';
import type { EphemeralEvent, PreparedEvent } from './entry.ts';
import {
  type AppendResult,
  type EventLog,
  Fenced,
  LogDamaged,
  type LogHealth,
  type ReadAnswer,
  type ReadLimits,
  type Start,
  type Tail,
  type TailMessage,
} from './event-log.ts';
import { RedisHealth, type RedisHealthOptions } from './redis-health.ts';
import { type OrgKeys, orgKeys } from './redis-keys.ts';
import { RedisTail } from './redis-tail.ts';
import { ephemeralMessage, fieldsOf, headOf, readAnswerOf } from './redis-wire.ts';

export interface RedisLogOptions extends RedisHealthOptions {
  /** How long a subscribe may take; commands have the connection's own bound. */
  readonly timeoutMs: number;
  /** What each org keeps: by age, by count, and by bytes of JSON and recipients. */
  readonly retentionMs: number;
  readonly retentionEvents: number;
  readonly retentionBytes: number;
  /** The idempotency window; the protocol's unless a test wants a shorter one. */
  readonly idempotencyMs?: number;
  readonly idempotencyIds?: number;
  /** A subscription that heard nothing any more was rebuilt. */
  readonly onDeaf?: () => void;
  /** A listener of a tail threw. */
  readonly onFault?: OnFault;
  /** One org's log is damaged, while the log is up: told once a minute for each. */
  readonly onDamaged?: (org: string, error: unknown) => void;
}

const damagedAgainMs = 60_000;
const maxDamaged = 1000;

// Longer than heads are compared in: an org with a feed never ends.
const graceMs = 5 * 60_000;
// An org can begin, be lost and begin again; more often than this within one call something is wrong.
const maxBegins = 3;

const script = (file: string): RedisScript => RedisScript.read(import.meta.url, file);
const scripts = {
  begin: script('begin'),
  append: script('append'),
  read: script('read'),
  keep: script('keep'),
};

class RedisLog implements EventLog {
  private readonly connection: RedisConnection;
  private readonly clock: Clock;
  private readonly expiryMs: number;
  private readonly faults: RedisHealth;
  private readonly tails: RedisTail;
  /** Orgs whose damage was told lately. */
  private readonly damaged: LRUCache<string, true>;
  private isClosed = false;

  constructor(private readonly options: RedisLogOptions) {
    const { connection, clock } = options;
    this.connection = connection;
    this.clock = clock;
    this.expiryMs = Math.max(options.retentionMs, this.idsWindowMs * 2) + graceMs;
    this.faults = new RedisHealth(options);
    const perf = { now: () => clock.monotonic() };
    this.damaged = new LRUCache({ max: maxDamaged, ttl: damagedAgainMs, ttlResolution: 0, perf });
    this.tails = new RedisTail({
      ...options,
      publish: (channel, text) => this.publish(channel, text),
      keep: (org) => this.keep(org),
      onDeaf: () => options.onDeaf?.(),
      onError: (error, org) => void this.failed(error, org),
    });
  }

  async append(
    org: string,
    publisher: string,
    events: readonly PreparedEvent[],
    fence?: number,
  ): Promise<AppendResult> {
    const { options } = this;
    const { all, channel } = this.keysOf(org);
    const args: (string | number)[] = [
      channel,
      this.publishCommand,
      options.retentionEvents,
      options.retentionMs,
      options.idempotencyIds ?? limits.idempotencyIds,
      this.idsWindowMs,
      this.expiryMs,
      ...(fence === undefined ? ['', 0] : [publisher, fence]),
      options.retentionBytes,
    ];
    for (const event of events) args.push(`${publisher}\n${event.id}`, this.clock.tag(48), fieldsOf(event));
    const run = (): Promise<unknown> => scripts.append.run(this.connection.commands, all, args);
    const reply = await this.inLog(org, run, (answer) => answer);
    if (reply === 'fenced') throw new Fenced(publisher);
    // The shape is the script's own.
    const [epoch, ...seqs] = reply as [string, ...number[]];
    const results = events.map(({ id }, index) => {
      const seq = seqs[index] ?? 0;
      return seq < 0 ? { seq: -seq, id, duplicate: true as const } : { seq, id };
    });
    return { epoch, results };
  }

  async publishEphemeral(org: string, events: readonly EphemeralEvent[]): Promise<void> {
    if (events.length === 0) return;
    const { channel } = this.keysOf(org);
    await this.attempt(org, () => this.publish(channel, ephemeralMessage(events)));
  }

  async read(org: string, start: Start, readLimits: ReadLimits): Promise<ReadAnswer> {
    const { all } = this.keysOf(org);
    const [meta, stream] = all;
    const { maxEvents, maxBytes } = readLimits;
    const args = [...startArgs(start), maxEvents, maxBytes, this.options.retentionMs];
    const run = (): Promise<unknown> => scripts.read.run(this.connection.commands, [meta, stream], args);
    const parse = (reply: unknown): ReadAnswer => readAnswerOf(reply, start, readLimits);
    const answer = await this.inLog(org, run, parse);
    if (start.at === 'head') this.tails.learnHead(org, answer.head);
    return answer;
  }

  async tail(org: string, listener: (message: TailMessage) => void): Promise<Tail> {
    return this.attempt(org, () => this.tails.open(org, listener));
  }

  health(): LogHealth {
    const { subscriptions } = this.tails;
    if (this.isClosed) return { isUp: false, isReachable: false, detail: 'closed', subscriptions: 0 };
    return { ...this.faults.state(), isReachable: this.connection.isReady, subscriptions };
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.faults.close();
    this.tails.close();
  }

  private get idsWindowMs(): number {
    return this.options.idempotencyMs ?? limits.idempotencyMs;
  }

  private keysOf(org: string): OrgKeys {
    return orgKeys(this.options.prefix, org, this.connection.target.channelEnd);
  }

  private get publishCommand(): string {
    return this.connection.target.kind === 'cluster' ? 'SPUBLISH' : 'PUBLISH';
  }

  private publish(channel: string, text: string): Promise<unknown> {
    return this.connection.commands.call(this.publishCommand, [channel, text]);
  }

  private async keep(org: string): Promise<Position | undefined> {
    const { all } = this.keysOf(org);
    return headOf(await scripts.keep.run(this.connection.commands, all, [this.expiryMs]));
  }

  /** Runs a script that answers nil where the org has no log, and begins one then. @param parse of any other answer */
  private inLog<T>(org: string, run: () => Promise<unknown>, parse: (reply: unknown) => T): Promise<T> {
    return this.attempt(org, async () => {
      for (let begins = 0; begins <= maxBegins; begins += 1) {
        const reply = await run();
        if (reply !== null) return parse(reply);
        const { all } = this.keysOf(org);
        await scripts.begin.run(this.connection.commands, all, [this.clock.tag(72), this.expiryMs]);
      }
      throw new Error('the org loses its log again and again');
    });
  }

  private async attempt<T>(org: string, run: () => Promise<T>): Promise<T> {
    if (this.isClosed) throw fail('log_unavailable', 'the log is closed');
    if (!this.connection.isReady) throw fail('log_unavailable');
    try {
      return await run();
    } catch (error) {
      throw this.failed(error, org);
    }
  }

  /** Counts and tells it. @returns what the caller is told */
  private failed(error: unknown, org: string | undefined): TurnoutError {
    const isDamage = this.faults.failed(error) === 'org' && org !== undefined;
    if (!isDamage) return fail('log_unavailable', undefined, { cause: error });
    if (!this.damaged.has(org)) {
      this.damaged.set(org, true);
      this.options.onDamaged?.(org, error);
    }
    return new LogDamaged(error);
  }
}

function startArgs(start: Start): (string | number)[] {
  switch (start.at) {
    case 'head':
    case 'earliest':
      return [start.at, '', 0, 0, ''];
    case 'lastSeq':
      return ['seq', start.epoch ?? '', start.seq, 0, ''];
    case 'cursor': {
      const { epoch, seq, ms, tag } = start.position;
      return ['cursor', epoch, seq, ms, tag];
    }
  }
}

export function createRedisLog(options: RedisLogOptions): EventLog {
  return new RedisLog(options);
}
