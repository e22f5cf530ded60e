/** What a feed does while it isn't at the log's head: holds back what its tail says, and reads the log up to the head. */
import { retryUntilAborted } from '../async/retry.ts';
import type { Clock } from '../clock.ts';
import { isSamePlace, type Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';
import { isAway, type TailMessage } from '../log/event-log.ts';
import type { Pages } from './pages.ts';

// A feed further behind than this begins anew at the head; its readers read the log at their own pace.
const farBehindEvents = 5000;
const readLimits = { maxEvents: 1000, maxBytes: 1024 * 1024 };

const backoff = { firstMs: 100, maxMs: 2000 };
const maxHeldBytes = 4 * 1024 * 1024;

/** A gap was found and is being repaired, or the repair failed and will be tried again. */
export type OnRepair = (org: string, why: 'gap' | 'interrupted' | 'failed', cause?: unknown) => void;

/** A feed as its reading on sees it. */
interface Behind {
  readonly org: string;
  readonly head: Position;
  readonly pages: Pages;
  isOpen(): boolean;
  append(entries: readonly LogEntry[]): void;
  restart(head: Position): void;
  /** Its readers can't go on. */
  fail(fault: unknown): void;
}

/** Resolves once the head is reached, however long the log is away meanwhile, or the feed is closed. Never rejects. */
export function readToHead(
  feed: Behind,
  { clock, onRepair }: { readonly clock: Clock; readonly onRepair?: OnRepair },
  signal: AbortSignal,
): Promise<void> {
  // Counted, and tried until the log is back or nobody reads this org any more.
  const onFailure = (cause: unknown): void => {
    onRepair?.(feed.org, 'failed', cause);
    // Held at their cursors they would never learn that nothing comes any more.
    if (!isAway(cause)) feed.fail(cause);
  };
  return retryUntilAborted(() => readPages(feed), { clock, signal, onFailure, backoff });
}

/** @throws log_unavailable */
async function readPages(feed: Behind): Promise<void> {
  while (feed.isOpen()) {
    const position = feed.head;
    const answer = await feed.pages.readNow({ at: 'cursor', position }, readLimits);
    if (!feed.isOpen()) return;
    // The ring began anew meanwhile: what was read follows another place.
    if (!isSamePlace(position, feed.head)) continue;
    const isFar = answer.head.seq - position.seq > farBehindEvents;
    if (answer.kind === 'reset' || isFar) {
      feed.restart(answer.head);
      return;
    }
    if (answer.entries.length > 0) feed.append(answer.entries);
    if (feed.head.seq >= answer.head.seq) return;
  }
}

/** What a tail says meanwhile, in order up to a bound of bytes, past which only reading again will do. */
export class HeldBack {
  private messages: TailMessage[] = [];
  private bytes = 0;
  private hasDropped = false;

  add(message: TailMessage): void {
    this.bytes += bytesOf(message);
    this.messages.push(message);
    if (this.bytes <= maxHeldBytes) return;
    this.messages = [];
    this.bytes = 0;
    this.hasDropped = true;
  }

  /** All of it, which is then forgotten; undefined where something was dropped: the log must be read again. */
  take(): TailMessage[] | undefined {
    const { messages, hasDropped } = this;
    this.messages = [];
    this.bytes = 0;
    this.hasDropped = false;
    return hasDropped ? undefined : messages;
  }
}

function bytesOf(message: TailMessage): number {
  if (message.kind === 'interrupted') return 0;
  const items = message.kind === 'appended' ? message.entries : message.events;
  return items.reduce((sum, { json }) => sum + json.length, 0);
}
