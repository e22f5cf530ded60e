/**
 * The feeds of this node: one for each org that has a local reader, opened by the first, closed some seconds after the
 * last. Flushes all that changed once per turn of the loop, and keeps the rings together inside one budget of bytes.
 */
import { runEach } from '../async/faults.ts';
import type { EventLog } from '../log/event-log.ts';
import { Feed } from './feed.ts';
import type { FeedDeps } from './feed-deps.ts';
import { PageCache } from './pages.ts';

export interface HubOptions extends Omit<FeedDeps<Feed>, 'log' | 'pages' | 'onDirty' | 'onBytes'> {
  readonly log: EventLog;
  /** Budget of all rings together, bytes. */
  readonly ringBytes: number;
  /** How long a feed outlives its last reader, milliseconds. */
  readonly lingerMs: number;
}

interface Slot {
  readonly feed: Promise<Feed>;
  /** Ends the feed while it opens. */
  readonly closing: AbortController;
  users: number;
  /** Cancels the closing that the last user's leaving planned. */
  cancelClose: () => void;
}

export class Hub {
  private readonly slots = new Map<string, Slot>();
  /** Open feeds, the least recently appended first. */
  private readonly byUse = new Map<string, Feed>();
  private readonly dirty = new Set<Feed>();
  private readonly pages: PageCache;
  private usedBytes = 0;

  constructor(private readonly options: HubOptions) {
    this.pages = new PageCache(options.log, options.clock);
  }

  get feeds(): number {
    return this.byUse.size;
  }

  get ringBytes(): number {
    return this.usedBytes;
  }

  /** The org's feed, live. Each acquire is answered by one `release`. @throws log_unavailable */
  async acquire(org: string): Promise<Feed> {
    const slot = this.slots.get(org) ?? this.open(org);
    slot.users += 1;
    slot.cancelClose();
    try {
      return await slot.feed;
    } catch (error) {
      slot.users -= 1;
      throw error;
    }
  }

  release(org: string): void {
    const slot = this.slots.get(org);
    if (slot === undefined) return;
    slot.users -= 1;
    if (slot.users > 0) return;
    slot.cancelClose = this.options.clock.after(this.options.lingerMs, () => void this.closeSlot(org, slot));
  }

  async close(): Promise<void> {
    const slots = [...this.slots];
    await Promise.all(slots.map(([org, slot]) => this.closeSlot(org, slot)));
  }

  private open(org: string): Slot {
    const closing = new AbortController();
    const deps: FeedDeps<Feed> = {
      ...this.options,
      pages: this.pages,
      onDirty: (dirty) => this.markDirty(dirty),
      onBytes: (delta) => {
        this.usedBytes += delta;
      },
    };
    const feed = Feed.open(org, deps, closing);
    const slot: Slot = { feed, closing, users: 0, cancelClose: () => undefined };
    this.slots.set(org, slot);
    feed.then(
      (opened) => this.byUse.set(org, opened),
      // Whoever waits is told by the same rejection; the next one tries anew.
      () => this.slots.delete(org),
    );
    return slot;
  }

  private async closeSlot(org: string, slot: Slot): Promise<void> {
    slot.cancelClose();
    if (this.slots.get(org) !== slot) return;
    this.slots.delete(org);
    this.byUse.delete(org);
    slot.closing.abort();
    const feed = await slot.feed.catch(() => undefined);
    if (feed === undefined) return;
    this.dirty.delete(feed);
    await feed.close();
  }

  private markDirty(feed: Feed): void {
    if (this.dirty.size === 0) setImmediate(() => this.flush());
    this.dirty.add(feed);
    if (this.byUse.delete(feed.org)) this.byUse.set(feed.org, feed);
  }

  private flush(): void {
    const feeds = [...this.dirty];
    this.dirty.clear();
    // A fault of one org's feed is no other's.
    for (const feed of feeds) runEach([() => feed.flush()], 'feed', feed.onFault);
    this.evict();
  }

  /** After the flush, so that nobody who is at the head has to read the log for what just came. */
  private evict(): void {
    for (const feed of this.byUse.values()) {
      while (this.usedBytes > this.options.ringBytes && feed.evict()) {
        // One entry a step, until the budget holds or this ring is empty.
      }
      if (this.usedBytes <= this.options.ringBytes) return;
    }
  }
}
