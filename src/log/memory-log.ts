/**
 * The event log of a single node: everything in memory, nothing survives the process. It owns the orgs, their tails and
 * their end; what one org keeps is org-stream.ts's.
 */
import { limits } from '../../schema/codes.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { EphemeralEvent, PreparedEvent } from './entry.ts';
import type {
  AppendResult,
  EventLog,
  LogHealth,
  ReadAnswer,
  ReadLimits,
  Start,
  Tail,
  TailMessage,
} from './event-log.ts';
import { OrgStream, type Retention } from './org-stream.ts';

/** How often orgs that nobody appends to or reads are looked at: retention by age must free their memory too. */
const sweepMs = 30_000;

export interface MemoryLogOptions {
  readonly clock: Clock;
  /** What each org keeps: by age, by count, and by bytes of JSON and recipients. */
  readonly retentionMs: number;
  readonly retentionEvents: number;
  readonly retentionBytes: number;
  /** The idempotency window; the protocol's unless a test wants a shorter one. */
  readonly idempotencyMs?: number;
  readonly idempotencyIds?: number;
  /** 72 random bits unless a test wants to know them. */
  readonly newEpoch?: () => string;
  /** 48 random bits unless a test wants to know them. */
  readonly newTag?: () => string;
}

type Listener = (message: TailMessage) => void;

interface Org {
  readonly stream: OrgStream;
  readonly subscribers: Set<Listener>;
  /** When it was last appended to, read or tailed. */
  usedMs: number;
}

class MemoryLog implements EventLog {
  private readonly clock: Clock;
  private readonly retention: Retention;
  private readonly newEpoch: () => string;
  private readonly newTag: () => string;
  private readonly orgs = new Map<string, Org>();
  private readonly stopSweeping: () => void;
  /** Orgs that somebody tails. */
  private subscriptions = 0;
  private isClosed = false;

  constructor(options: MemoryLogOptions) {
    const { clock } = options;
    this.clock = clock;
    this.retention = {
      ageMs: options.retentionMs,
      events: options.retentionEvents,
      bytes: options.retentionBytes,
      ids: options.idempotencyIds ?? limits.idempotencyIds,
      idsAgeMs: options.idempotencyMs ?? limits.idempotencyMs,
    };
    this.newEpoch = options.newEpoch ?? (() => clock.tag(72));
    this.newTag = options.newTag ?? (() => clock.tag(48));
    this.stopSweeping = clock.every(sweepMs, () => this.sweep());
  }

  async append(
    org: string,
    publisher: string,
    events: readonly PreparedEvent[],
    fence?: number,
  ): Promise<AppendResult> {
    const { stream, subscribers } = this.use(org);
    const { result, entries, previous } = stream.append(publisher, events, this.clock.now(), fence);
    if (entries.length > 0) tell(subscribers, { kind: 'appended', previous, entries });
    return result;
  }

  async publishEphemeral(org: string, events: readonly EphemeralEvent[]): Promise<void> {
    this.mustBeOpen();
    const subscribers = this.orgs.get(org)?.subscribers;
    if (subscribers !== undefined && events.length > 0) tell(subscribers, { kind: 'ephemeral', events });
  }

  async read(org: string, start: Start, readLimits: ReadLimits): Promise<ReadAnswer> {
    return this.use(org).stream.read(start, readLimits, this.clock.now());
  }

  async tail(org: string, listener: Listener): Promise<Tail> {
    const { subscribers } = this.use(org);
    // Wrapped: one listener may be given twice.
    const subscriber: Listener = (message) => listener(message);
    if (subscribers.size === 0) this.subscriptions += 1;
    subscribers.add(subscriber);
    return {
      close: async () => {
        if (!subscribers.delete(subscriber) || this.isClosed) return;
        if (subscribers.size === 0) this.subscriptions -= 1;
        this.use(org);
      },
    };
  }

  health(): LogHealth {
    const { subscriptions } = this;
    const isUp = !this.isClosed;
    return { isUp, isReachable: isUp, detail: isUp ? 'in memory' : 'closed', subscriptions };
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.stopSweeping();
    for (const { subscribers } of this.orgs.values()) subscribers.clear();
    this.subscriptions = 0;
    this.orgs.clear();
  }

  private mustBeOpen(): void {
    if (this.isClosed) throw fail('log_unavailable', 'the log is closed');
  }

  private use(name: string): Org {
    this.mustBeOpen();
    const usedMs = this.clock.now();
    let org = this.orgs.get(name);
    if (org === undefined) {
      const stream = new OrgStream(this.newEpoch(), this.newTag, this.retention);
      org = { stream, subscribers: new Set(), usedMs };
      this.orgs.set(name, org);
    }
    org.usedMs = usedMs;
    return org;
  }

  /**
   * Frees what age has expired, and drops an org once nothing of it can matter: no entry and no id is left, nobody tails
   * it, and nobody asked for a whole retention (and idempotency) time. A cursor that is older still is answered `epoch`.
   */
  private sweep(): void {
    const nowMs = this.clock.now();
    const idleMs = Math.max(this.retention.ageMs, this.retention.idsAgeMs);
    for (const [name, { stream, subscribers, usedMs }] of this.orgs) {
      stream.trim(nowMs);
      const isIdle = subscribers.size === 0 && nowMs - usedMs >= idleMs;
      if (isIdle && stream.isForgotten) this.orgs.delete(name);
    }
  }
}

/**
 * Hands `message` to those who listen now. One microtask each: a listener that appends is never called from inside
 * itself, what it appended comes after what is on its way, and the append doesn't fail if it throws.
 */
function tell(subscribers: ReadonlySet<Listener>, message: TailMessage): void {
  for (const subscriber of subscribers)
    queueMicrotask(() => {
      if (subscribers.has(subscriber)) subscriber(message);
    });
}

export function createMemoryLog(options: MemoryLogOptions): EventLog {
  return new MemoryLog(options);
}
