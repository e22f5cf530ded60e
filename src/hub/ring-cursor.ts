/**
 * A position in an org's log that its group moves on: from the ring where that still covers it, else from the log. Streams
 * (`Reader`) and held polls are both this; they differ in where the chunks go.
 */
import { backoffMs } from '../async/retry.ts';
import { type Clock, pause } from '../clock.ts';
import type { ResetReason } from '../../schema/frames.ts';
import type { Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { isAway, LogDamaged } from '../log/event-log.ts';
import type { Chunk, Form } from './chunk.ts';
import type { Feed } from './feed.ts';
import type { Group, Member } from './group.ts';

const backoff = { firstMs: 100, maxMs: 2000 };

export interface CursorOptions {
  readonly feed: Feed;
  readonly clock: Clock;
  readonly position: Position;
  readonly services: ReadonlySet<string>;
  readonly form: Form;
}

export abstract class RingCursor implements Member {
  protected readonly feed: Feed;
  protected readonly clock: Clock;
  protected group: Group;
  protected place: Position;
  protected isReading = false;
  protected isClosed = false;
  private mustRecheck = false;
  private failures = 0;

  constructor({ feed, clock, position, services, form }: CursorOptions) {
    this.feed = feed;
    this.clock = clock;
    this.place = position;
    this.group = feed.groups.join(this, services, form);
  }

  /** Gives what there is after its position. @returns it gave something to its client */
  protected abstract advance(): boolean;
  protected abstract hear(events: readonly EphemeralEvent[]): void;
  /** Moves on to the chunk's end. @returns it gave something to its client */
  protected abstract take(chunk: Chunk): boolean;
  /** The log can't go on from its position: it stands at the head now. */
  protected abstract restarted(reason: ResetReason): void;
  /** A fault of ours or a damaged log, not the log's absence: its client is told. */
  protected abstract failed(fault: unknown): void;
  /** The log is away, and will be asked again. */
  protected bear(): void {}

  /** Events of the org's log after its position. */
  behind(): number {
    return Math.max(0, this.feed.head.seq - this.place.seq);
  }

  pump(): boolean {
    try {
      return this.advance();
    } catch (fault) {
      this.broke(fault);
      return false;
    }
  }

  ephemeral(events: readonly EphemeralEvent[]): void {
    try {
      this.hear(events);
    } catch (fault) {
      this.broke(fault);
    }
  }

  fail(fault: unknown): void {
    try {
      this.failed(fault);
    } catch (again) {
      this.feed.onFault('reader', again);
    }
    this.close();
  }

  recheck(): void {
    this.mustRecheck = true;
    if (!this.isReading) void this.readLog();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.feed.groups.leave(this, this.group);
  }

  /** What it, or the encoding of an event, threw ends this reader alone. */
  private broke(fault: unknown): void {
    if (!(fault instanceof LogDamaged)) this.feed.onFault('reader', fault);
    this.fail(fault);
  }

  protected async readLog(): Promise<void> {
    this.isReading = true;
    this.mustRecheck = false;
    const { group } = this;
    try {
      const fetched = await group.fetch(this.place);
      this.failures = 0;
      // A subscribe or a restart of the ring came in between: what was read answers an older question.
      // Where the cursor stands is still to be known: it may have been asked for that alone.
      if (group !== this.group) this.mustRecheck = true;
      const isStale = this.mustRecheck || this.isClosed;
      if (!isStale && fetched.kind === 'chunk') this.take(fetched.chunk);
      if (!isStale && fetched.kind === 'reset') {
        this.place = fetched.head;
        this.restarted(fetched.reason);
      }
    } catch (thrown) {
      if (!isAway(thrown)) {
        this.broke(thrown);
        return;
      }
      this.bear();
      await pause(this.clock, backoffMs(this.failures, backoff, this.clock));
      this.failures += 1;
      this.mustRecheck = true;
    }
    this.isReading = false;
    if (this.isClosed) return;
    if (this.mustRecheck) this.recheck();
    else this.pump();
  }
}
