/**
 * One org's log as this node sees it: a tail that is checked link by link, a ring of the newest events, and the groups
 * that read it. Nothing is placed by its seq alone: what doesn't chain to the head makes the feed read the log.
 */
import type { Clock } from '../clock.ts';
import { isSamePlace, type Position } from '../log/cursor.ts';
import type { EphemeralEvent, LogEntry } from '../log/entry.ts';
import { type EventLog, placeOnly, type Start, type Tail, type TailMessage } from '../log/event-log.ts';
import type { ResetReason } from '../../schema/frames.ts';
import { Audience } from './audience.ts';
import type { Form } from './chunk.ts';
import { fillGap, type Gapped } from './gap-fill.ts';
import type { Group, Member } from './group.ts';
import { HeldBack } from './held-back.ts';
import type { Floor, Pages } from './pages.ts';
import { Ring, type RingRetention } from './ring.ts';
import { Thinning } from './thinning.ts';

export interface FeedDeps {
  readonly log: Pick<EventLog, 'tail'>;
  readonly pages: Pages;
  readonly clock: Clock;
  /** Of the log: a ring keeps no more. */
  readonly retention: RingRetention;
  /** The feed has something for its readers: flush it in this turn of the loop. */
  readonly onDirty: (feed: Feed) => void;
  /** Its ring grew (or shrank) by so many bytes. */
  readonly onBytes: (delta: number) => void;
  /** A gap was found and is being repaired, or the repair failed and will be tried again. */
  readonly onRepair: (org: string, why: 'gap' | 'interrupted' | 'failed', cause?: unknown) => void;
  /** A group was given what came since the last flush; the oldest of it was appended at `sinceMs`. */
  readonly onFlushed: (form: Form, sinceMs: number, readers: number) => void;
}

export interface Placed {
  readonly position: Position;
  /** The start that was asked for can't be served: the reader stands at the head. */
  readonly reset: ResetReason | undefined;
}

// Longer than it takes to find the master that a failover made.
const lookLaterMs = 3000;

export class Feed {
  readonly org: string;
  private readonly deps: FeedDeps;
  private readonly thinning: Thinning;
  private readonly audience: Audience;
  private ring: Ring | undefined;
  private tail: Tail | undefined;
  private state: 'opening' | 'live' | 'repairing' | 'closed' = 'opening';
  private readonly held = new HeldBack();
  private pendingEphemeral: EphemeralEvent[] = [];
  private unflushedSinceMs: number | undefined;
  private isLookPlanned = false;
  private reconciling: Promise<void> | undefined;

  private constructor(org: string, deps: FeedDeps) {
    this.org = org;
    this.deps = deps;
    this.thinning = new Thinning(deps.clock);
    const { pages, onFlushed } = deps;
    this.audience = new Audience({
      org,
      pages,
      ring: () => this.openRing,
      floor: () => this.floor(),
      reconcile: () => this.reconcile(),
      onFlushed,
    });
  }

  /** Attach before read: the tail is heard before the head is asked for, so nothing falls between. @throws log_unavailable */
  static async open(org: string, deps: FeedDeps): Promise<Feed> {
    const feed = new Feed(org, deps);
    const tail = await deps.log.tail(org, (message) => feed.receive(message));
    try {
      const { head } = await deps.pages.readNow(org, { at: 'head' }, placeOnly);
      feed.ring = new Ring(head);
      feed.tail = tail;
    } catch (error) {
      await tail.close();
      throw error;
    }
    await feed.settle();
    return feed;
  }

  get head(): Position {
    return this.openRing.head;
  }

  get ringBytes(): number {
    return this.openRing.bytes;
  }

  get isIdle(): boolean {
    return this.audience.isEmpty;
  }

  /** Drops from the ring what the log's retention no longer keeps. */
  retain(): void {
    const before = this.ringBytes;
    this.openRing.retain(this.deps.retention, this.deps.clock.now());
    this.deps.onBytes(this.ringBytes - before);
  }

  /** Where a reader that asks for `start` begins. @throws log_unavailable */
  async place(start: Start): Promise<Placed> {
    const known = this.placeInRing(start);
    if (known !== undefined) return { position: known, reset: undefined };
    const answer = await this.deps.pages.read(this.org, start, placeOnly, this.floor());
    if (answer.head.epoch !== this.head.epoch) await this.repair('interrupted');
    return answer.kind === 'page'
      ? { position: answer.from, reset: undefined }
      : { position: answer.head, reset: answer.reason };
  }

  join(member: Member, services: ReadonlySet<string>, form: Form): Group {
    return this.audience.join(member, services, form);
  }

  leave(member: Member, group: Group): void {
    this.audience.leave(member, group);
  }

  /** Gives every reader what came since the last flush. */
  flush(): void {
    const ephemeral = this.pendingEphemeral;
    const sinceMs = this.unflushedSinceMs;
    this.unflushedSinceMs = undefined;
    this.retain();
    if (ephemeral.length > 0) this.pendingEphemeral = [];
    this.audience.give(sinceMs, ephemeral);
  }

  /** Drops the oldest entry of the ring. False where it is empty. */
  evict(): boolean {
    const before = this.ringBytes;
    const isEvicted = this.openRing.evict();
    if (isEvicted) this.deps.onBytes(this.ringBytes - before);
    return isEvicted;
  }

  async close(): Promise<void> {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.deps.onBytes(-this.ringBytes);
    await this.tail?.close();
  }

  private get openRing(): Ring {
    if (this.ring === undefined) throw new Error('the feed is not open yet');
    return this.ring;
  }

  private placeInRing(start: Start): Position | undefined {
    if (this.state !== 'live') return undefined;
    this.retain();
    return this.openRing.placeFor(start);
  }

  /** What the log's retention keeps, told by what this feed knows of its head. */
  private floor(): Floor {
    const { events, ageMs } = this.deps.retention;
    return { seq: this.head.seq - events + 1, ms: this.deps.clock.now() - ageMs };
  }

  private receive(message: TailMessage): void {
    if (this.state === 'live') this.accept(message);
    else if (this.state !== 'closed') this.held.add(message);
  }

  private accept(message: TailMessage): void {
    switch (message.kind) {
      case 'ephemeral':
        this.pendingEphemeral.push(...this.thinning.pass(message.events));
        this.deps.onDirty(this);
        return;
      case 'interrupted':
        void this.repair('interrupted');
        return;
      case 'appended': {
        if (isSamePlace(message.previous, this.head)) {
          this.append(message.entries);
          return;
        }
        const last = message.entries.at(-1);
        const known = last && message.previous.epoch === this.head.epoch && this.openRing.placeAt(last.seq);
        if (last === undefined || (known && known.tag === last.tag)) return;
        void this.repair('gap', message);
        return;
      }
    }
  }

  private append(entries: readonly LogEntry[]): void {
    const ring = this.openRing;
    const before = ring.bytes;
    for (const entry of entries) ring.push(entry);
    this.unflushedSinceMs ??= entries[0]?.ms;
    this.deps.onBytes(ring.bytes - before);
    this.deps.onDirty(this);
  }

  /** Reads the log from the head that is known until there is no more, then goes on with what was held meanwhile. */
  private async repair(why: 'gap' | 'interrupted', cause?: TailMessage): Promise<void> {
    if (this.state !== 'live') return;
    this.state = 'repairing';
    this.deps.onRepair(this.org, why);
    await this.readOn();
    // Read after it was heard, the log has it, or has another history: asking on and on would not change that.
    if (cause !== undefined && !this.isBehindHead(cause)) this.lookLater();
    await this.settle();
  }

  /** It may have been a server that is the master no more that was asked; the one that is has what was heard. */
  private lookLater(): void {
    if (this.isLookPlanned) return;
    this.isLookPlanned = true;
    this.deps.clock.after(lookLaterMs, () => {
      this.isLookPlanned = false;
      this.receive({ kind: 'interrupted' });
    });
  }

  /**
   * A reader stands where the log has, or had, another history than the ring: begins anew if it is the ring that is wrong.
   * @throws log_unavailable
   */
  private reconcile(): Promise<void> {
    this.reconciling ??= this.compare().finally(() => {
      this.reconciling = undefined;
    });
    return this.reconciling;
  }

  private async compare(): Promise<void> {
    this.deps.pages.forget(this.org);
    const { head } = this;
    const answer = await this.deps.pages.readNow(this.org, { at: 'cursor', position: head }, placeOnly);
    if (answer.kind !== 'reset' || !this.isOpen() || !isSamePlace(head, this.head)) return;
    this.deps.onRepair(this.org, 'interrupted');
    this.restart(answer.head);
  }

  private readOn(): Promise<void> {
    const { org, deps } = this;
    const gapped: Gapped = {
      org,
      head: () => this.head,
      isOpen: () => this.isOpen(),
      append: (entries) => this.append(entries),
      restart: (head) => this.restart(head),
    };
    return fillGap(gapped, { ...deps, onFailed: (cause) => deps.onRepair(org, 'failed', cause) });
  }

  /** From holding back to live: what was held is either known by now, or chains to the head, or makes it read again. */
  private async settle(): Promise<void> {
    while (this.isOpen()) {
      const messages = this.held.take();
      if (messages !== undefined) {
        this.state = 'live';
        const rest = messages.filter((message) => !this.isBehindHead(message));
        for (const message of rest) this.receive(message);
        return;
      }
      await this.readOn();
    }
  }

  /** A held append that the read already brought. If it was another history's, the next message won't chain. */
  private isBehindHead(message: TailMessage): boolean {
    if (message.kind !== 'appended') return false;
    const last = message.entries.at(-1);
    const isSameEpoch = message.previous.epoch === this.head.epoch;
    return last === undefined || (isSameEpoch && last.seq <= this.head.seq);
  }

  private restart(head: Position): void {
    const before = this.ringBytes;
    this.openRing.restart(head);
    this.deps.pages.forget(this.org);
    this.deps.onBytes(-before);
    this.audience.recheck();
  }

  // A method, so that the compiler doesn't remember the state across an await.
  private isOpen(): boolean {
    return this.state !== 'closed';
  }
}
