/** What a feed needs of the hub around it, and where it places a reader. */
import type { OnFault } from '../async/faults.ts';
import type { Clock } from '../clock.ts';
import type { ResetReason } from '../../schema/frames.ts';
import type { Position } from '../log/cursor.ts';
import type { EventLog, Tail } from '../log/event-log.ts';
import type { HeldBack, OnRepair } from './catch-up.ts';
import type { OnFlushed } from './group.ts';
import type { PageCache, Pages } from './pages.ts';
import type { RingRetention } from './ring.ts';

/** @typeParam F the feed itself */
export interface FeedDeps<F> {
  readonly log: Pick<EventLog, 'tail'>;
  readonly pages: PageCache;
  readonly clock: Clock;
  /** Of the log: a ring keeps no more. */
  readonly retention: RingRetention;
  /** The feed has something for its readers: flush it in this turn of the loop. */
  readonly onDirty: (feed: F) => void;
  /** Its ring grew (or shrank) by so many bytes. */
  readonly onBytes: (delta: number) => void;
  readonly onRepair?: OnRepair;
  readonly onFault?: OnFault;
  readonly onFlushed?: OnFlushed;
}

export interface Placed {
  readonly position: Position;
  /** The start that was asked for can't be served: the reader stands at the head. */
  readonly reset: ResetReason | undefined;
}

/** What a feed has opened by the time that it is made. */
export interface FeedParts {
  readonly org: string;
  readonly head: Position;
  readonly pages: Pages;
  readonly tail: Tail;
  readonly held: HeldBack;
  readonly closing: AbortController;
}
