/** Whether the log's Redis answers and takes writes, and since when it doesn't: what `/readyz` says of it. */
import type { Clock } from '../clock.ts';
import type { RedisConnection } from '../redis/connections.ts';

interface Fault {
  readonly what: string;
  readonly sinceMs: number;
}

export class RedisHealth {
  private readonly connection: RedisConnection;
  private readonly clock: Clock;
  private fault: Fault | undefined;

  constructor(connection: RedisConnection, clock: Clock) {
    this.connection = connection;
    this.clock = clock;
  }

  worked(): void {
    this.fault = undefined;
  }

  /** @returns the error in a word, one of a few: fit for a metric's label. */
  failed(error: unknown): string {
    const what = wordFor(error);
    this.fault ??= { what, sinceMs: this.clock.now() };
    return what;
  }

  state(): { isUp: boolean; detail: string } {
    const { kind } = this.connection.target;
    if (!this.connection.isReady) this.unreachable();
    const { fault } = this;
    if (fault === undefined) return { isUp: true, detail: `redis, ${kind}` };
    const since = new Date(fault.sinceMs).toISOString();
    return {
      isUp: false,
      detail: `redis, ${kind}: ${explanations[fault.what] ?? fault.what} since ${since}`,
    };
  }

  /** A log-in that is refused ends its connection too, but nothing heals that: it is told in its own word. */
  private unreachable(): void {
    const what = refusalIn(this.connection.failure ?? '') ?? 'closed';
    const isSame = what === 'closed' && !refusals.has(this.fault?.what ?? '');
    if (this.fault !== undefined && isSame) return;
    this.fault = { what, sinceMs: this.fault?.sinceMs ?? this.clock.now() };
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
