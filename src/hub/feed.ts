/**
 * One org's log as this node sees it: a tail that is checked link by link, a ring of the newest events, and the groups
 * that read it. Nothing is placed by its seq alone: what doesn't chain to the head makes the feed read the log.
 */
import { type OnFault, uncaught } from '../async/faults.ts';
import { SingleFlight } from '../async/single-flight.ts';
import { fail } from '../errors.ts';
import { isSamePlace, placeOf, type Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';
import { placeOnly, type Start, type Tail, type TailMessage } from '../log/event-log.ts';
import { HeldBack, readToHead } from './catch-up.ts';
import type { FeedDeps, FeedParts, Placed } from './feed-deps.ts';
import { EphemeralDedup } from './ephemeral-dedup.ts';
import { Groups, type Source } from './group.ts';
import { type Floor, Pages } from './pages.ts';
import { Ring } from './ring.ts';

// Longer than it takes to find the master that a failover made.
const lookLaterMs = 3000;

export class Feed implements Source {
  readonly org: string;
  ring: Ring;
  readonly pages: Pages;
  readonly groups: Groups;
  readonly onFault: OnFault;
  private readonly tail: Tail;
  /** Made with the first ephemeral event: most orgs have none. */
  private ephemeral: EphemeralDedup | undefined;
  private readonly comparing = new SingleFlight<void>();
  private readonly closing: AbortController;
  /** What the tail says is held back while the log is read. */
  private readonly held: HeldBack;
  private isLive = false;
  private isClosed = false;
  private unflushedSinceMs: number | undefined;
  private isLookPlanned = false;
  private accountedBytes = 0;

  private constructor(
    private readonly deps: FeedDeps<Feed>,
    parts: FeedParts,
  ) {
    this.org = parts.org;
    this.ring = new Ring(parts.head);
    this.pages = parts.pages;
    this.groups = new Groups(this, deps.onFlushed);
    this.onFault = deps.onFault ?? uncaught;
    this.tail = parts.tail;
    this.held = parts.held;
    this.closing = parts.closing;
  }

  /**
   * Attach before read: the tail is heard before the head is asked for, so nothing falls between. @throws log_unavailable
   * @param closing ends it while it still opens, however long the log is away
   */
  static async open(org: string, deps: FeedDeps<Feed>, closing = new AbortController()): Promise<Feed> {
    const pages = new Pages(deps.pages, org);
    const held = new HeldBack();
    let feed: Feed | undefined;
    const hear = (message: TailMessage): void =>
      feed === undefined ? held.add(message) : feed.receive(message);
    const tail = await deps.log.tail(org, hear);
    try {
      const { head } = await pages.readNow({ at: 'head' }, placeOnly);
      feed = new Feed(deps, { org, head, pages, tail, held, closing });
    } catch (error) {
      await tail.close();
      throw error;
    }
    await feed.settle();
    if (feed.isOpen()) return feed;
    await feed.close();
    throw fail('log_unavailable', 'the feed was closed while it opened');
  }

  get head(): Position {
    return this.ring.head;
  }

  /** Drops from the ring what the log's retention no longer keeps. */
  retain(): void {
    this.ring.retain(this.deps.retention, this.deps.clock.now());
    this.account();
  }

  /** Where a reader that asks for `start` begins. @throws log_unavailable */
  async place(start: Start): Promise<Placed> {
    if (this.isLive) {
      this.retain();
      const known = this.ring.placeFor(start);
      if (known !== undefined) return { position: known, reset: undefined };
    }
    const answer = await this.pages.read(start, placeOnly, this.floor());
    if (answer.head.epoch !== this.head.epoch) await this.repair('interrupted');
    return answer.kind === 'page'
      ? { position: answer.from, reset: undefined }
      : { position: answer.head, reset: answer.reason };
  }

  /** Gives every reader what came since the last flush. */
  flush(): void {
    const sinceMs = this.unflushedSinceMs;
    this.unflushedSinceMs = undefined;
    this.retain();
    this.groups.give(sinceMs, this.ephemeral?.take() ?? []);
  }

  /** Drops the oldest entry of the ring. False where it is empty. */
  evict(): boolean {
    const isEvicted = this.ring.evict();
    this.account();
    return isEvicted;
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isLive = false;
    this.closing.abort();
    this.deps.onBytes(-this.accountedBytes);
    await this.tail.close();
  }

  floor(): Floor {
    const { events, ageMs } = this.deps.retention;
    return { seq: this.head.seq - events + 1, ms: this.deps.clock.now() - ageMs };
  }

  reconcile(): Promise<void> {
    return this.comparing.run(this.org, async () => {
      this.pages.forget();
      const { head } = this;
      const answer = await this.pages.readNow({ at: 'cursor', position: head }, placeOnly);
      if (answer.kind !== 'reset' || !this.isOpen() || !isSamePlace(head, this.head)) return;
      this.deps.onRepair?.(this.org, 'interrupted');
      this.restart(answer.head);
    });
  }

  private receive(message: TailMessage): void {
    if (!this.isLive) {
      if (this.isOpen()) this.held.add(message);
      return;
    }
    try {
      this.accept(message);
    } catch (error) {
      // How much of it was taken isn't known: the log knows.
      this.onFault('feed', error);
      void this.repair('interrupted');
    }
  }

  private accept(message: TailMessage): void {
    switch (message.kind) {
      case 'ephemeral':
        this.ephemeral ??= new EphemeralDedup(this.deps.clock);
        this.ephemeral.add(message.events);
        this.deps.onDirty(this);
        return;
      case 'interrupted':
        void this.repair('interrupted');
        return;
      case 'appended': {
        const { previous, entries } = message;
        const last = entries.at(-1);
        if (isSamePlace(previous, this.head)) this.append(entries);
        else if (last !== undefined && !this.ring.joins(placeOf(previous.epoch, last)))
          void this.repair('gap', message);
        return;
      }
    }
  }

  append(entries: readonly LogEntry[]): void {
    for (const entry of entries) this.ring.push(entry);
    this.unflushedSinceMs ??= entries[0]?.ms;
    // Its bytes are accounted for by the flush that follows.
    this.deps.onDirty(this);
  }

  /** Begins anew at `head`, with an empty ring. */
  restart(head: Position): void {
    this.ring = new Ring(head);
    this.pages.forget();
    this.account();
    this.groups.recheck();
  }

  fail(fault: unknown): void {
    this.groups.fail(fault);
  }

  /** Tells the hub by how much the ring has grown since it was last told. */
  private account(): void {
    const grownBytes = this.ring.bytes - this.accountedBytes;
    this.accountedBytes += grownBytes;
    this.deps.onBytes(grownBytes);
  }

  /** Reads the log from the head that is known until there is no more, then goes on with what was held meanwhile. */
  private async repair(why: 'gap' | 'interrupted', cause?: TailMessage): Promise<void> {
    if (!this.isLive) return;
    this.isLive = false;
    this.deps.onRepair?.(this.org, why);
    await readToHead(this, this.deps, this.closing.signal);
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

  /** From holding back to live: what was held is either known by now, or chains to the head, or makes it read again. */
  private async settle(): Promise<void> {
    while (this.isOpen()) {
      const messages = this.held.take();
      if (messages !== undefined) {
        this.isLive = true;
        const rest = messages.filter((message) => !this.isBehindHead(message));
        for (const message of rest) this.receive(message);
        return;
      }
      await readToHead(this, this.deps, this.closing.signal);
    }
  }

  /** A held append that the read already brought. If it was another history's, the next message won't chain. */
  private isBehindHead(message: TailMessage): boolean {
    if (message.kind !== 'appended') return false;
    const last = message.entries.at(-1);
    const isSameEpoch = message.previous.epoch === this.head.epoch;
    return last === undefined || (isSameEpoch && last.seq <= this.head.seq);
  }

  // A method, so that the compiler doesn't remember the answer across an await.
  isOpen(): boolean {
    return !this.closing.signal.aborted;
  }
}
