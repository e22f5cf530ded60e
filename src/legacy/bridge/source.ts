/** The port between a bridge and what it reads: a source hands on what it reads, lane by lane, and waits until it is kept. */

/** One item, as the dialect's `eventFrom` takes it. */
export interface SourceItem {
  readonly item: unknown;
  /** Where it stands in the source, for a log line; never anything of its content. */
  readonly at: string;
  /** When the source got it, or where it doesn't say, when it was read; Unix milliseconds. Undefined: unknown. */
  readonly ms: number | undefined;
}

export interface SourceBatch {
  /** What has an order of its own: a stream, a reader, a channel. */
  readonly lane: string;
  /** Undefined: each item names its own. */
  readonly org: string | undefined;
  readonly items: readonly SourceItem[];
  /** From where to go on after this batch; undefined in a source that can't go back. */
  readonly position: string | undefined;
}

/** What a bridge is to its source. */
export interface SourceFeed {
  /** Aborted when the bridge ends, or another node has the lease. */
  readonly signal: AbortSignal;
  /** Where the lane goes on. @throws while Turnout's Redis is away */
  position(lane: string): Promise<string | undefined>;
  /**
   * Appends the batch and keeps its position. Of one lane the next may only be handed on after it resolved: while the log
   * is away it waits, and that holds the source back. Rejects once `signal` is aborted.
   */
  take(batch: SourceBatch): Promise<void>;
  /** Something of the source can't be had any more. `count`: how many items, where that is known; else 1. `org`: whose. */
  gap(what: string, count?: number, org?: string): void;
  /** It works, and could cost less: for its operator. */
  advise(what: string): void;
  /** It works (again). */
  worked(): void;
  /** It failed, and is tried again. */
  failed(error: unknown): void;
}

export interface Source {
  /** Reads until `feed.signal` is aborted, through every failure of the source. Never rejects. */
  run(feed: SourceFeed): Promise<void>;
}
