/**
 * The port of the event log: one ordered, bounded log an org, and a tail of what is appended. Every implementation keeps
 * the promises below and passes tests/conformance/event-log.ts unchanged.
 */
import type { ResetReason } from '../../schema/frames.ts';
import { TurnoutError } from '../errors.ts';
import type { Position } from './cursor.ts';
import type { EphemeralEvent, LogEntry, PreparedEvent } from './entry.ts';

/** Where a read begins. `lastSeq` without `epoch` holds only while the log's epoch lasts and is not forked. */
export type Start =
  | { readonly at: 'cursor'; readonly position: Position }
  | { readonly at: 'lastSeq'; readonly seq: number; readonly epoch?: string }
  | { readonly at: 'earliest' }
  | { readonly at: 'head' };

export interface ReadLimits {
  readonly maxEvents: number;
  /** At least one entry is answered, however large. */
  readonly maxBytes: number;
}

/** For whoever asks where a start stands, and not what follows it. */
export const placeOnly: ReadLimits = { maxEvents: 1, maxBytes: 1 };

export type ReadAnswer =
  | {
      readonly kind: 'page';
      /** The start, resolved: entries follow it without a hole. */
      readonly from: Position;
      readonly entries: readonly LogEntry[];
      /** The newest entry's place when the read was made. */
      readonly head: Position;
    }
  | { readonly kind: 'reset'; readonly reason: ResetReason; readonly head: Position };

export interface AppendResult {
  readonly epoch: string;
  /** In the order of the events; a duplicate has the seq and id of the first. */
  readonly results: readonly { readonly seq: number; readonly id: string; readonly duplicate?: true }[];
}

/**
 * Returns the log's name for the owner of a token: what its event ids are told apart by. An org holds no slash, so only the
 * tokens of an org called `bridge` could be a bridge's publisher: those have another name.
 */
export const tokenPublisher = (org: string, sub: string): string =>
  org === 'bridge' ? `token:${org}/${sub}` : `${org}/${sub}`;

/**
 * Returns the log's name for the bridge of a profile. It may not change: a bridge that goes on after an upgrade finds in the
 * log the ids and the turn that an older version stored under this name.
 */
export const bridgePublisher = (profile: string): string => `bridge/${profile}`;

/** Another process is the publisher by now. */
export class Fenced extends Error {
  constructor(publisher: string) {
    super(`a later turn of ${publisher} has begun`);
    this.name = 'Fenced';
  }
}

/**
 * What stands in this one org's log can't be read or written, whoever asks: only an operator can mend it. Clients are told
 * at once, instead of being held until the log is back.
 */
export class LogDamaged extends TurnoutError {
  constructor(cause: unknown) {
    super('log_unavailable', "this org's log is damaged", { cause });
    this.name = 'LogDamaged';
  }
}

/** The log can't be reached now: it is asked again until it is back. */
export const isAway = (thrown: unknown): boolean =>
  thrown instanceof TurnoutError && thrown.code === 'log_unavailable' && !(thrown instanceof LogDamaged);

export type TailMessage =
  /** What one append stored, with the place it was chained to: a feed whose head is another has missed something. */
  | { readonly kind: 'appended'; readonly previous: Position; readonly entries: readonly LogEntry[] }
  | { readonly kind: 'ephemeral'; readonly events: readonly EphemeralEvent[] }
  /** The tail may have missed something: compare the head. */
  | { readonly kind: 'interrupted' };

export interface Tail {
  /** After it resolves the listener is not called again. */
  close(): Promise<void>;
}

export interface LogHealth {
  readonly isUp: boolean;
  /** False: reads fail too, as far as is known. One that refuses writes alone is reachable. */
  readonly isReachable: boolean;
  /** One line for `/readyz`: what is wrong and since when. */
  readonly detail: string;
  /** Orgs that this process is subscribed to. */
  readonly subscriptions: number;
}

export interface EventLog {
  /**
   * Appends all events or none, in order, with consecutive seqs. The same `id` from the same `publisher` inside the
   * idempotency window (10 minutes or the org's last 100,000 ids, whichever is shorter) is stored once: later ones,
   * in this batch too, are answered with the first's seq. Resolved means kept, as far as the durability setting reaches.
   * @param fence the publisher's turn, where processes take turns at being it: what comes of an earlier turn than one that
   * stored something here is refused, however late it left a process that was paused
   * @throws log_unavailable when the log can't be reached: nothing was acknowledged, the same ids may be sent again.
   * `LogDamaged`, which has that code too, where it is this org's log alone that fails.
   * Fenced: nothing was stored, and nothing of that turn will be.
   */
  append(
    org: string,
    publisher: string,
    events: readonly PreparedEvent[],
    fence?: number,
  ): Promise<AppendResult>;

  /** Hands events to every tail of the org, stores nothing, promises nothing. @throws log_unavailable */
  publishEphemeral(org: string, events: readonly EphemeralEvent[]): Promise<void>;

  /**
   * The entries after `start`, in order, without holes, and the head, seen at one moment. An org nobody appended to gets
   * its epoch by its first read. `reset` tells what the log itself knows:
   * `expired` (retention dropped what follows the start), `epoch` (another incarnation, another org's cursor), `fork`
   * (same epoch and seq, another tag), `ahead` (a seq that the log never gave). A failed read throws, it is never a reset.
   * A cursor is good if its tag stands at its place, if it lies just before the first kept entry, or if it is the head
   * of an emptied stream.
   * @throws log_unavailable, `LogDamaged` among them
   */
  read(org: string, start: Start, limits: ReadLimits): Promise<ReadAnswer>;

  /**
   * Calls `listener` with everything appended to `org` after the promise resolves, in order, each `previous` being the
   * place of the last entry before it. Loses nothing silently: after a possible loss it says `interrupted`.
   * The listener must not throw. @throws log_unavailable
   */
  tail(org: string, listener: (message: TailMessage) => void): Promise<Tail>;

  health(): LogHealth;
  close(): Promise<void>;
}
