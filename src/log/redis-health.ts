/**
 * Whether the log's Redis answers and takes writes, and since when it doesn't: what `/readyz` says of it. A write once a
 * second shows it.
 */
import type { Cancel, Clock } from '../clock.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { explanations, redisFault, type RedisFault, refusalIn, refusals } from './redis-faults.ts';

export interface RedisHealthOptions {
  /** Stays its owner's: the log doesn't close it. */
  readonly connection: RedisConnection;
  readonly clock: Clock;
  /** Of every key and channel; without braces. */
  readonly prefix: string;
  readonly nodeId: string;
  /** The log went away, or is back. */
  readonly onHealth?: (state: { readonly isUp: boolean; readonly detail: string }) => void;
  /** A command failed. `what`: the word of redis-faults.ts for it. */
  readonly onError?: (what: string, error: unknown) => void;
}

interface Fault {
  readonly what: string;
  readonly sinceMs: number;
}

const heartbeatMs = 1000;
// Enough names for each master of any Cluster to own one, all but surely.
const alivePlaces = 64;

export class RedisHealth {
  private readonly stopBeating: Cancel;
  private fault: Fault | undefined;
  private wasUp = true;
  private isClosed = false;
  private isBeating = false;

  constructor(private readonly options: RedisHealthOptions) {
    this.stopBeating = options.clock.every(heartbeatMs, () => void this.beat());
  }

  /** A command of the log failed. @returns whose fault it is: only the server's tells that the log is down */
  failed(error: unknown): RedisFault['of'] {
    const { word, of } = redisFault(error);
    if (this.isClosed) return of;
    this.options.onError?.(word, error);
    if (of === 'server') this.down(word);
    if (of === 'unsure') void this.beat();
    return of;
  }

  state(): { isUp: boolean; detail: string } {
    const { connection } = this.options;
    const { kind } = connection.target;
    if (!connection.isReady) this.unreachable();
    const { fault } = this;
    if (fault === undefined) return { isUp: true, detail: `redis, ${kind}` };
    const since = new Date(fault.sinceMs).toISOString();
    return {
      isUp: false,
      detail: `redis, ${kind}: ${explanations[fault.what] ?? fault.what} since ${since}`,
    };
  }

  close(): void {
    this.isClosed = true;
    this.stopBeating();
  }

  /** A write once a second: it also finds a Redis that is full, read-only or can't save. */
  private async beat(): Promise<void> {
    const { connection, nodeId, onHealth, onError } = this.options;
    const state = this.state();
    if (state.isUp !== this.wasUp) onHealth?.(state);
    this.wasUp = state.isUp;
    if (!connection.isReady || this.isBeating) return;
    this.isBeating = true;
    try {
      const life = [nodeId, 'PX', 60 * heartbeatMs];
      await Promise.all(this.aliveKeys().map((key) => connection.commands.call('SET', [key, ...life])));
      this.fault = undefined;
    } catch (error) {
      const { word } = redisFault(error);
      if (!this.isClosed) onError?.(word, error);
      this.down(word);
    } finally {
      this.isBeating = false;
    }
  }

  private down(what: string): void {
    this.fault ??= { what, sinceMs: this.options.clock.now() };
  }

  /** A key for each Redis that takes writes: a part of a Cluster may be away while the others work. */
  private aliveKeys(): string[] {
    const byOwner = new Map<string | undefined, string>();
    for (let n = 0; n < alivePlaces; n += 1) {
      const key = `${this.options.prefix}:{alive-${n}}`;
      const owner = this.options.connection.ownerOf(key);
      if (!byOwner.has(owner)) byOwner.set(owner, key);
    }
    return [...byOwner.values()];
  }

  /** A log-in that is refused ends its connection too, but nothing heals that: it is told in its own word. */
  private unreachable(): void {
    const what = refusalIn(this.options.connection.failure ?? '') ?? 'closed';
    const isSame = what === 'closed' && !refusals.has(this.fault?.what ?? '');
    if (this.fault !== undefined && isSame) return;
    this.fault = { what, sinceMs: this.fault?.sinceMs ?? this.options.clock.now() };
  }
}
