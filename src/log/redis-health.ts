/**
 * Whether the log's Redis answers and takes writes, and since when it doesn't: what `/readyz` says of it. A write once a
 * second shows it.
 */
import type { Cancel, Clock } from '../clock.ts';
import type { RedisConnection } from '../redis/connections.ts';

export interface RedisHealthOptions {
  /** Stays its owner's: the log doesn't close it. */
  readonly connection: RedisConnection;
  readonly clock: Clock;
  /** Of every key and channel; without braces. */
  readonly prefix: string;
  readonly nodeId: string;
  /** The log went away, or is back. */
  readonly onHealth?: (state: { readonly isUp: boolean; readonly detail: string }) => void;
  /** A command failed. `what`: the error's first word as Redis says it, or `timeout`, `closed`, `other`. */
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

  constructor(private readonly options: RedisHealthOptions) {
    this.stopBeating = options.clock.every(heartbeatMs, () => void this.beat());
  }

  /** A command of the log failed. */
  failed(error: unknown): void {
    if (this.isClosed) return;
    const what = wordFor(error);
    this.fault ??= { what, sinceMs: this.options.clock.now() };
    this.options.onError?.(what, error);
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
    const { connection, nodeId, onHealth } = this.options;
    const state = this.state();
    if (state.isUp !== this.wasUp) onHealth?.(state);
    this.wasUp = state.isUp;
    if (!connection.isReady) return;
    try {
      const life = [nodeId, 'PX', 60 * heartbeatMs];
      await Promise.all(this.aliveKeys().map((key) => connection.commands.call('SET', [key, ...life])));
      this.fault = undefined;
    } catch (error) {
      this.failed(error);
    }
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

const refusals: ReadonlySet<string> = new Set(['WRONGPASS', 'NOAUTH', 'database', 'certificate']);

const explanations: Readonly<Record<string, string>> = {
  OOM: 'full, refuses writes (OOM)',
  READONLY: 'a read-only replica (READONLY)',
  MISCONF: 'cannot save to its disk (MISCONF)',
  NOREPLICAS: 'too few replicas (NOREPLICAS)',
  LOADING: 'loading its data (LOADING)',
  CLUSTERDOWN: 'a part of the cluster is down (CLUSTERDOWN)',
  WRONGPASS: 'refuses our password (WRONGPASS)',
  NOAUTH: 'wants a password (NOAUTH)',
  database: 'refuses the database that TURNOUT_REDIS_URL names',
  certificate: 'its certificate is not trusted (see NODE_EXTRA_CA_CERTS)',
  timeout: 'does not answer',
  closed: 'cannot be reached',
  other: 'failing',
};

const firstWord = (message: string): string => /^[A-Z]+/.exec(message)?.[0] ?? '';

/** @param message of a connection that failed @returns the refusal's word; undefined: it may heal by itself. */
function refusalIn(message: string): string | undefined {
  const word = firstWord(message);
  if (refusals.has(word)) return word;
  if (/DB index|'select' command/.test(message)) return 'database';
  // An alert comes from Redis: it is our certificate that it misses.
  return /certificate/i.test(message) && !message.includes('alert') ? 'certificate' : undefined;
}

function wordFor(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const word = firstWord(message);
  if (Object.hasOwn(explanations, word)) return word;
  if (/timed out|timeout/i.test(message)) return 'timeout';
  return /clos|writeable|ECONN|retries|connect/i.test(message) ? 'closed' : 'other';
}
