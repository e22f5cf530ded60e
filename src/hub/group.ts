/**
 * The readers of one org that want the same services in the same form. What one of them is given at a place, all of them
 * are: a chunk is cut and encoded on first need and shared until the event loop turns.
 */
import type { ResetReason } from '../../schema/frames.ts';
import { SingleFlight } from '../async/single-flight.ts';
import { isSamePlace, type Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { type Chunk, cutChunk, type Form } from './chunk.ts';
import { Encodings } from './encodings.ts';
import type { Floor, Pages } from './pages.ts';
import type { Ring } from './ring.ts';

/** A reader as its group sees it. None of these may throw. */
export interface Member {
  /** There is more to read after its position, or may be. @returns something was given to its client */
  pump(): boolean;
  /** The ring began anew: whether its position still stands, only the log can tell (`fetch`). */
  recheck(): void;
  /** Events that are not stored; all of its services. */
  ephemeral(events: readonly EphemeralEvent[]): void;
  /** It can't go on: its client is told, and it reads no more. */
  fail(fault: unknown): void;
}

export type Fetched =
  | { readonly kind: 'chunk'; readonly chunk: Chunk }
  | { readonly kind: 'reset'; readonly reason: ResetReason; readonly head: Position };

// Entries of one read of the log for readers that the ring no longer serves.
const pageEvents = 500;
const pageBytes = 256 * 1024;

/** The feed as its groups see it. */
export interface Source {
  readonly ring: Ring;
  readonly pages: Pages;
  /** What the log's retention keeps, told by what the feed knows of its head. */
  floor(): Floor;
  /** Compares the ring with the log, where a reader's place shows that one of the two is wrong. @throws log_unavailable */
  reconcile(): Promise<void>;
}

/** So many of a group's readers were given something; the oldest of what the flush had was appended at `sinceMs`. */
export type OnFlushed = (form: Form, sinceMs: number, given: number) => void;

export class Group {
  readonly members = new Set<Member>();
  private readonly chunks = new Map<number, Chunk>();
  /** Replaced with each incarnation of the log. */
  private reads = new SingleFlight<Fetched>();

  constructor(
    /** What tells it from the org's other groups. */
    readonly key: string,
    readonly services: ReadonlySet<string>,
    readonly form: Form,
    private readonly source: Source,
  ) {}

  /**
   * What comes after `position`: a chunk (perhaps without parts, where nothing there was theirs), undefined at the head,
   * or `behind` where the ring has lost that place, or has another history's there, and `fetch` must read the log.
   */
  chunkAfter(position: Position): Chunk | 'behind' | undefined {
    const { seq } = position;
    const { ring } = this.source;
    const { head } = ring;
    // A place of another incarnation says nothing about this one's head, wherever it lies.
    if (position.epoch !== head.epoch) return 'behind';
    if (seq > head.seq || isSamePlace(position, head)) return undefined;
    const cut = this.chunks.get(seq);
    if (cut !== undefined && isSamePlace(cut.from, position)) return cut;
    if (!ring.joins(position)) return 'behind';
    const stretch = { entries: ring.after(seq), epoch: ring.epoch, from: position };
    return this.share(cutChunk(stretch, this.services, this.form));
  }

  /** The same from the log; single flight for readers at the same place. @throws log_unavailable */
  fetch(position: Position): Promise<Fetched> {
    const key = `${position.epoch}.${position.seq}.${position.tag}`;
    return this.reads.run(key, () => this.read(position));
  }

  private async read(position: Position): Promise<Fetched> {
    const limits = {
      maxEvents: Math.max(pageEvents, this.form.maxEvents),
      maxBytes: Math.max(pageBytes, this.form.maxBytes),
    };
    const { source } = this;
    // A node that was told later of a failover must not go on with what it still has: one of the two is wrong.
    if (source.ring.covers(position.seq) && !source.ring.joins(position)) await source.reconcile();
    const { reads } = this;
    const page = await source.pages.read({ at: 'cursor', position }, limits, source.floor());
    if (page.kind === 'reset') return page;
    // Behind the ring's head, and the log has nothing there: it lost what the ring still has.
    if (page.entries.length === 0 && position.seq < source.ring.head.seq) await source.reconcile();
    const stretch = { entries: page.entries, epoch: page.from.epoch, from: page.from };
    const chunk = cutChunk(stretch, this.services, this.form);
    // Don't share an empty chunk: it doesn't advance the reader, so readers would loop on it.
    const isSharable = reads === this.reads && page.entries.length > 0;
    return { kind: 'chunk', chunk: isSharable ? this.share(chunk) : chunk };
  }

  /** A new incarnation of the log: what was cut, or is being read, no longer stands. */
  forget(): void {
    this.chunks.clear();
    this.reads = new SingleFlight();
  }

  private share(chunk: Chunk): Chunk {
    // One turn of the loop is enough for everyone who is fed together, and nothing outlives it.
    if (this.chunks.size === 0) setImmediate(() => this.chunks.clear());
    this.chunks.set(chunk.from.seq, chunk);
    return chunk;
  }
}

/** The groups of one feed, and what each reader is given when the loop turns. */
export class Groups {
  private readonly byKey = new Map<string, Group>();
  private readonly encodings = new Encodings();

  constructor(
    private readonly source: Source,
    private readonly onFlushed: OnFlushed | undefined,
  ) {}

  get isEmpty(): boolean {
    return this.byKey.size === 0;
  }

  join(member: Member, services: ReadonlySet<string>, form: Form): Group {
    const key = `${form.name}|${[...services].toSorted().join(',')}`;
    let group = this.byKey.get(key);
    if (group === undefined) {
      const encode = this.encodings.shared(form.encode);
      group = new Group(key, services, { ...form, encode }, this.source);
      this.byKey.set(key, group);
    }
    group.members.add(member);
    return group;
  }

  leave(member: Member, group: Group): void {
    group.members.delete(member);
    if (group.members.size === 0 && this.byKey.get(group.key) === group) this.byKey.delete(group.key);
  }

  /** @param sinceMs when the oldest entry was appended that nobody was given yet; undefined where there is none */
  give(sinceMs: number | undefined, ephemeral: readonly EphemeralEvent[]): void {
    for (const group of this.byKey.values()) {
      let given = 0;
      for (const member of group.members) if (member.pump()) given += 1;
      if (sinceMs !== undefined && given > 0) this.onFlushed?.(group.form, sinceMs, given);
      const theirs = ephemeral.filter((event) => group.services.has(event.service));
      if (theirs.length > 0) for (const member of group.members) member.ephemeral(theirs);
    }
  }

  /** Nobody can go on. */
  fail(fault: unknown): void {
    for (const group of this.byKey.values()) for (const member of group.members) member.fail(fault);
  }

  /** The ring began anew. */
  recheck(): void {
    for (const group of this.byKey.values()) {
      group.forget();
      for (const member of group.members) member.recheck();
    }
  }
}
