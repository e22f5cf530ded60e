/** The newest entries of one org, without holes, as a feed keeps them. Older ones fall out at the front. */
import type { Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';

// What an entry costs besides its JSON: the object, its strings, its slot.
const overheadBytes = 200;

export class Ring {
  private entries: LogEntry[] = [];
  private firstIndex = 0;
  private sizeBytes = 0;
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

  get tail(): Position {
    return this.before;
  }

  get bytes(): number {
    return this.sizeBytes;
  }

  push(entry: LogEntry): void {
    this.entries.push(entry);
    this.sizeBytes += entry.json.length + overheadBytes;
    this.newest = this.placeOf(entry);
  }

  /** Drops the oldest entry. False where there is none. */
  evict(): boolean {
    const oldest = this.entries[this.firstIndex];
    if (oldest === undefined) return false;
    this.before = this.placeOf(oldest);
    this.sizeBytes -= oldest.json.length + overheadBytes;
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

  /** Forgets everything and begins anew at `start`. */
  restart(start: Position): void {
    this.entries = [];
    this.firstIndex = 0;
    this.sizeBytes = 0;
    this.before = start;
    this.newest = start;
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

  /** The entries after `seq`, oldest first; only where `covers(seq)`. */
  *after(seq: number): Generator<LogEntry> {
    for (let index = this.firstIndex + seq - this.before.seq; ; index += 1) {
      const entry = this.entries[index];
      if (entry === undefined) return;
      yield entry;
    }
  }

  private placeOf(entry: LogEntry): Position {
    return { epoch: this.newest.epoch, seq: entry.seq, ms: entry.ms, tag: entry.tag };
  }
}
