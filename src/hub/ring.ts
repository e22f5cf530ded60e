/** The newest entries of one org, without holes, as a feed keeps them. Older ones fall out at the front. */
import { isSamePlace, placeOf, type Position } from '../log/cursor.ts';
import { type LogEntry, retainedBytes } from '../log/entry.ts';
import type { Start } from '../log/event-log.ts';

/** What an entry costs besides its JSON: the object, its strings, its slot. */
export const overheadBytes = 200;

/** The retention of the log, as far as a ring can keep more. */
export interface RingRetention {
  readonly ageMs: number;
  readonly events: number;
  /** Of JSON and recipients. */
  readonly bytes: number;
}

export class Ring {
  private entries: LogEntry[] = [];
  private firstIndex = 0;
  private retainedBytes = 0;
  /** The place just before the oldest entry kept. */
  private before: Position;
  private newest: Position;

  constructor(start: Position) {
    this.before = start;
    this.newest = start;
  }

  get epoch(): string {
    return this.newest.epoch;
  }

  get head(): Position {
    return this.newest;
  }

  get bytes(): number {
    return this.retainedBytes + overheadBytes * (this.entries.length - this.firstIndex);
  }

  push(entry: LogEntry): void {
    this.entries.push(entry);
    this.retainedBytes += retainedBytes(entry);
    this.newest = this.placeOf(entry);
  }

  /** Drops what the log's retention no longer keeps: a ring must not serve what `expired` would be said of. */
  retain(limits: RingRetention, nowMs: number): void {
    for (;;) {
      const oldest = this.entries[this.firstIndex];
      const kept = this.entries.length - this.firstIndex;
      const isOver = kept > limits.events || (kept > 1 && this.retainedBytes > limits.bytes);
      if (oldest === undefined || (!isOver && nowMs - oldest.ms <= limits.ageMs)) return;
      this.evict();
    }
  }

  /** Drops the oldest entry. False where there is none. */
  evict(): boolean {
    const oldest = this.entries[this.firstIndex];
    if (oldest === undefined) return false;
    this.before = this.placeOf(oldest);
    this.retainedBytes -= retainedBytes(oldest);
    this.firstIndex += 1;
    // Compacting at half keeps both eviction and look-up constant, amortised.
    if (this.firstIndex > 1024 && this.firstIndex * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.firstIndex);
      this.firstIndex = 0;
    } else if (this.firstIndex === this.entries.length) {
      this.entries = [];
      this.firstIndex = 0;
    }
    return true;
  }

  /** True where every entry after `seq` is here. */
  covers(seq: number): boolean {
    return seq >= this.before.seq;
  }

  /** The place at `seq`, where the ring knows it. */
  placeAt(seq: number): Position | undefined {
    if (seq === this.before.seq) return this.before;
    const entry = this.entries[this.firstIndex + seq - this.before.seq - 1];
    return seq > this.before.seq && entry !== undefined ? this.placeOf(entry) : undefined;
  }

  /** Where a start that the ring itself can vouch for begins: a cursor's tag stands at its place here. */
  placeFor(start: Start): Position | undefined {
    if (start.at === 'cursor') {
      const { epoch, seq, tag } = start.position;
      const place = epoch === this.epoch ? this.placeAt(seq) : undefined;
      return place?.tag === tag ? place : undefined;
    }
    const isHere = start.at === 'lastSeq' && (start.epoch === undefined || start.epoch === this.epoch);
    return isHere ? this.placeAt(start.seq) : undefined;
  }

  /** True where what the ring keeps follows `position`: the entry there is the ring's own, not another history's. */
  joins(position: Position): boolean {
    const known = this.placeAt(position.seq);
    return known !== undefined && isSamePlace(known, position);
  }

  /** The entries after `seq`, oldest first; only where `covers(seq)`. */
  *after(seq: number): Generator<LogEntry> {
    for (let index = this.firstIndex + seq - this.before.seq; ; index += 1) {
      const entry = this.entries[index];
      if (entry === undefined) return;
      yield entry;
    }
  }

  private placeOf(entry: LogEntry): Position {
    return placeOf(this.epoch, entry);
  }
}
