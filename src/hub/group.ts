/**
 * The readers of one org that want the same services in the same form. What one of them is given at a place, all of them
 * are: a chunk is cut and encoded on first need and shared until the event loop turns.
 */
import type { ResetReason } from '../../schema/frames.ts';
import { isSamePlace, type Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { type Chunk, cutChunk, type Form } from './chunk.ts';
import type { Floor, Pages } from './pages.ts';
import type { Ring } from './ring.ts';

/** A reader as its group sees it. None of these may throw. */
export interface Member {
  /** There is more to read after its position, or may be. */
  pump(): void;
  /** The ring began anew: whether its position still stands, only the log can tell (`fetch`). */
  recheck(): void;
  /** Events that are not stored; all of its services. */
  ephemeral(events: readonly EphemeralEvent[]): void;
}

export type Fetched =
  | { readonly kind: 'chunk'; readonly chunk: Chunk }
  | { readonly kind: 'reset'; readonly reason: ResetReason; readonly head: Position };

// Entries of one read of the log for readers that the ring no longer serves.
const pageEvents = 500;
const pageBytes = 256 * 1024;

export class Group {
  /** What tells it from the org's other groups. */
  readonly key: string;
  readonly services: ReadonlySet<string>;
  readonly form: Form;
  readonly members = new Set<Member>();
  private readonly org: string;
  private readonly ring: Ring;
  private readonly pages: Pages;
  private readonly floor: () => Floor;
  private readonly reconcile: () => Promise<void>;
  private incarnation = 0;
  private readonly chunks = new Map<number, Chunk>();
  private readonly reads = new Map<string, Promise<Fetched>>();

  constructor(options: {
    key: string;
    org: string;
    services: ReadonlySet<string>;
    form: Form;
    ring: Ring;
    pages: Pages;
    floor: () => Floor;
    /** Compares the ring with the log. @throws log_unavailable */
    reconcile: () => Promise<void>;
  }) {
    this.key = options.key;
    this.org = options.org;
    this.services = options.services;
    this.form = options.form;
    this.ring = options.ring;
    this.pages = options.pages;
    this.floor = options.floor;
    this.reconcile = options.reconcile;
  }

  /**
   * What comes after `position`: a chunk (perhaps without parts, where nothing there was theirs), undefined at the head,
   * or `behind` where the ring has lost that place, or has another history's there, and `fetch` must read the log.
   */
  chunkAfter(position: Position): Chunk | 'behind' | undefined {
    const { seq } = position;
    const { head } = this.ring;
    // A place of another incarnation says nothing about this one's head, wherever it lies.
    if (position.epoch !== head.epoch) return 'behind';
    if (seq > head.seq || isSamePlace(position, head)) return undefined;
    const cut = this.chunks.get(seq);
    if (cut !== undefined && isSamePlace(cut.from, position)) return cut;
    if (!this.ring.joins(position)) return 'behind';
    const stretch = { entries: this.ring.after(seq), epoch: this.ring.epoch, from: position };
    return this.share(cutChunk(stretch, this.services, this.form));
  }

  /** The same from the log; single flight for readers at the same place. @throws log_unavailable */
  async fetch(position: Position): Promise<Fetched> {
    const key = `${position.epoch}.${position.seq}.${position.tag}`;
    const underway = this.reads.get(key);
    if (underway !== undefined) return underway;
    const read = this.read(position).finally(() => {
      if (this.reads.get(key) === read) this.reads.delete(key);
    });
    this.reads.set(key, read);
    return read;
  }

  private async read(position: Position): Promise<Fetched> {
    const limits = {
      maxEvents: Math.max(pageEvents, this.form.maxEvents),
      maxBytes: Math.max(pageBytes, this.form.maxBytes),
    };
    // A node that was told later of a failover must not go on with what it still has: one of the two is wrong.
    if (this.ring.covers(position.seq) && !this.ring.joins(position)) await this.reconcile();
    const { incarnation } = this;
    const page = await this.pages.read(this.org, { at: 'cursor', position }, limits, this.floor());
    if (page.kind === 'reset') return page;
    // Behind the ring's head, and the log has nothing there: it lost what the ring still has.
    if (page.entries.length === 0 && position.seq < this.ring.head.seq) await this.reconcile();
    const stretch = { entries: page.entries, epoch: page.from.epoch, from: page.from };
    const chunk = cutChunk(stretch, this.services, this.form);
    // One that leads nowhere is the moment's own: the ring may have more by now, and readers would take it again and again.
    const isSharable = incarnation === this.incarnation && page.entries.length > 0;
    return { kind: 'chunk', chunk: isSharable ? this.share(chunk) : chunk };
  }

  /** A new incarnation of the log: what was cut, or is being read, no longer stands. */
  forget(): void {
    this.incarnation += 1;
    this.chunks.clear();
    this.reads.clear();
  }

  private share(chunk: Chunk): Chunk {
    // One turn of the loop is enough for everyone who is fed together, and nothing outlives it.
    if (this.chunks.size === 0) setImmediate(() => this.chunks.clear());
    this.chunks.set(chunk.from.seq, chunk);
    return chunk;
  }
}
