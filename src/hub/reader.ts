/**
 * A connected stream: a cursor over its org's ring. It holds a position and no queue; it is given more when its sink has
 * room.
 */
import type { ResetReason } from '../../schema/frames.ts';
import type { Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { type Chunk, type Form, type Part, partsFor } from './chunk.ts';
import { type CursorOptions, RingCursor } from './ring-cursor.ts';

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

export class Reader extends RingCursor {
  private readonly form: Form;
  private readonly sub: string;
  private readonly sink: Sink;
  /** It had its turn and has more to read: it goes on when the others had theirs. */
  private isScheduled = false;

  constructor(options: CursorOptions & { readonly sub: string; readonly sink: Sink }) {
    super(options);
    this.form = options.form;
    this.sub = options.sub;
    this.sink = options.sink;
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
    this.feed.groups.leave(this, this.group);
    this.group = this.feed.groups.join(this, services, this.form);
  }

  protected advance(): boolean {
    let hasGiven = false;
    if (this.isReading || this.isScheduled || this.isClosed) return hasGiven;
    for (let turn = 0; turn < maxChunksInTurn; turn += 1) {
      if (!this.sink.hasRoom) return hasGiven;
      const chunk = this.group.chunkAfter(this.place);
      if (chunk === undefined) return hasGiven;
      if (chunk === 'behind') {
        void this.readLog();
        return hasGiven;
      }
      hasGiven = this.take(chunk) || hasGiven;
    }
    if (this.isScheduled) return hasGiven;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.pump();
    });
    return hasGiven;
  }

  protected hear(events: readonly EphemeralEvent[]): void {
    const isForAll = events.every((event) => event.to === null);
    const theirs = isForAll ? events : events.filter((event) => event.to?.includes(this.sub) ?? true);
    if (theirs.length > 0 && this.sink.hasRoom && !this.isClosed) this.sink.ephemeral(theirs);
  }

  protected take(chunk: Chunk): boolean {
    this.place = chunk.end;
    const parts = partsFor(chunk, this.sub);
    if (parts.length > 0) this.sink.deliver(parts);
    return parts.length > 0;
  }

  protected restarted(reason: ResetReason): void {
    this.sink.reset(reason, this.place);
  }

  protected failed(fault: unknown): void {
    this.sink.fail(fault);
  }
}
