/** Reads the log on from a feed's head until there is no more, however long the log is away meanwhile. */
import { type Clock, pause } from '../clock.ts';
import { isSamePlace, type Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';
import type { Pages } from './pages.ts';

/** The feed whose gap is filled. */
export interface Gapped {
  readonly org: string;
  head(): Position;
  isOpen(): boolean;
  append(entries: readonly LogEntry[]): void;
  /** Begins anew at `head`. */
  restart(head: Position): void;
}

export interface GapFillDeps {
  readonly pages: Pages;
  readonly clock: Clock;
  /** A read failed and will be tried again. `cause`: log_unavailable, or a fault of ours. */
  readonly onFailed: (cause: unknown) => void;
}

// A feed further behind than this begins anew at the head; its readers read the log at their own pace.
const farBehindEvents = 5000;
const readLimits = { maxEvents: 1000, maxBytes: 1024 * 1024 };
const delayMs = { first: 50, most: 2000 };

/** Resolves once the head is reached, or the feed is closed. Never rejects. */
export async function fillGap(feed: Gapped, deps: GapFillDeps): Promise<void> {
  for (let waitMs = delayMs.first; feed.isOpen(); waitMs = Math.min(waitMs * 2, delayMs.most)) {
    try {
      await readToHead(feed, deps.pages);
      return;
    } catch (thrown) {
      // Counted, and tried until the log is back or nobody reads this org any more.
      deps.onFailed(thrown);
      await pause(deps.clock, waitMs);
    }
  }
}

/** @throws log_unavailable */
async function readToHead(feed: Gapped, pages: Pages): Promise<void> {
  while (feed.isOpen()) {
    const position = feed.head();
    const answer = await pages.readNow(feed.org, { at: 'cursor', position }, readLimits);
    if (!feed.isOpen()) return;
    // The ring began anew meanwhile: what was read follows another place.
    if (!isSamePlace(position, feed.head())) continue;
    const isFar = answer.head.seq - position.seq > farBehindEvents;
    if (answer.kind === 'reset' || isFar) {
      feed.restart(answer.head);
      return;
    }
    if (answer.entries.length > 0) feed.append(answer.entries);
    if (feed.head().seq >= answer.head.seq) return;
  }
}
