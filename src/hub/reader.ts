/**
 * A connected client: a cursor over its org's ring. It holds a position and no queue; it is given more when its sink has
 * room, from the ring where that still covers it, else from the log.
 */
import type { ResetReason } from '../../schema/frames.ts';
import { type Clock, pause } from '../clock.ts';
import { asTurnoutError } from '../errors.ts';
import type { Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { type Chunk, type Form, type Part, partsFor } from './chunk.ts';
import type { Feed } from './feed.ts';
import type { Group, Member } from './group.ts';

/** Where a reader's bytes go. Nothing here may throw. */
export interface Sink {
  /** False while the socket is full: the owner calls `pump` when it has drained. */
  readonly hasRoom: boolean;
  /** Parts of one chunk, none of them empty. */
  deliver(parts: readonly Part[]): void;
  reset(reason: ResetReason, head: Position): void;
  ephemeral(events: readonly EphemeralEvent[]): void;
  /** The reader can't go on: a fault of ours, not the log's absence. It reads no more. */
  fail(fault: unknown): void;
}

// How much one reader is given before the others have their turn: with a stream's chunks, 256 KiB.
const maxChunksInTurn = 8;
const retryDelayMs = { first: 100, most: 2000 };

export class Reader implements Member {
  private readonly feed: Feed;
  private readonly form: Form;
  private readonly sub: string;
  private readonly sink: Sink;
  private readonly clock: Clock;
  private place: Position;
  private group: Group;
  private isReading = false;
  /** It had its turn and has more to read: it goes on when the others had theirs. */
  private isScheduled = false;
  private mustRecheck = false;
  private isClosed = false;
  private retryMs = retryDelayMs.first;

  constructor(options: {
    feed: Feed;
    form: Form;
    sub: string;
    services: ReadonlySet<string>;
    position: Position;
    sink: Sink;
    clock: Clock;
  }) {
    this.feed = options.feed;
    this.form = options.form;
    this.sub = options.sub;
    this.sink = options.sink;
    this.clock = options.clock;
    this.place = options.position;
    this.group = options.feed.join(this, options.services, options.form);
  }

  /** Everything of the reader's up to here was given to its sink. */
  get position(): Position {
    return this.place;
  }

  get services(): ReadonlySet<string> {
    return this.group.services;
  }

  /** Takes effect at the reader's position: what lies before it was given by the old set, what follows by the new. */
  setServices(services: ReadonlySet<string>): void {
    if (this.isClosed) return;
    this.feed.leave(this, this.group);
    this.group = this.feed.join(this, services, this.form);
  }

  pump(): void {
    if (this.isReading || this.isScheduled || this.isClosed) return;
    for (let turn = 0; turn < maxChunksInTurn; turn += 1) {
      if (!this.sink.hasRoom) return;
      const chunk = this.group.chunkAfter(this.place);
      if (chunk === undefined) return;
      if (chunk === 'behind') {
        void this.readLog();
        return;
      }
      this.take(chunk);
    }
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.pump();
    });
  }

  recheck(): void {
    this.mustRecheck = true;
    if (!this.isReading) void this.readLog();
  }

  ephemeral(events: readonly EphemeralEvent[]): void {
    const isForAll = events.every((event) => event.to === null);
    const theirs = isForAll ? events : events.filter((event) => event.to?.includes(this.sub) ?? true);
    if (theirs.length > 0 && this.sink.hasRoom && !this.isClosed) this.sink.ephemeral(theirs);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.feed.leave(this, this.group);
  }

  private take(chunk: Chunk): void {
    this.place = chunk.end;
    const parts = partsFor(chunk, this.sub);
    if (parts.length > 0) this.sink.deliver(parts);
  }

  private async readLog(): Promise<void> {
    this.isReading = true;
    this.mustRecheck = false;
    const { group, place } = this;
    try {
      const fetched = await group.fetch(place);
      this.retryMs = retryDelayMs.first;
      // A subscribe or a restart of the ring came in between: what was read answers an older question.
      // Where the reader stands is still to be known: it may have been asked for that alone.
      if (group !== this.group) this.mustRecheck = true;
      const isStale = this.mustRecheck || this.isClosed;
      if (!isStale && fetched.kind === 'chunk') this.take(fetched.chunk);
      if (!isStale && fetched.kind === 'reset') {
        this.place = fetched.head;
        this.sink.reset(fetched.reason, fetched.head);
      }
    } catch (thrown) {
      if (asTurnoutError(thrown).code !== 'log_unavailable') {
        this.sink.fail(thrown);
        return;
      }
      // The log is away: the stream stays open at its position and asks again.
      await pause(this.clock, this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, retryDelayMs.most);
      this.mustRecheck = true;
    }
    this.isReading = false;
    if (this.isClosed) return;
    if (this.mustRecheck) this.recheck();
    else this.pump();
  }
}
