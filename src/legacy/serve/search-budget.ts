/**
 * Bounds what looking for cursors costs the log: how many searches run at a time, and how many pages they may read a second,
 * for a node, an org and a user. Past it a poll is the upstream's to answer.
 */
import { LRUCache } from 'lru-cache';
import { Slots } from '../../async/slots.ts';
import type { Clock } from '../../clock.ts';

export interface SearchBudgetOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  /** Pages a second that all searches of the node may read; ten seconds' worth may be read at once. */
  readonly readsPerS: number;
}

/** Shares of the node's reads: one org never takes all, one user never all of the org's. */
const shares = { node: 1, org: 1 / 3, user: 1 / 15 };
const burstS = 10;
// Of orgs and of users: the least recently used was full again by then.
const maxBuckets = 20_000;
const running = { org: 4, node: 16 };
const waiting = { maxQueued: 200, queueMs: 1000 };

class Bucket {
  private left: number;
  private atMs: number;

  constructor(
    private readonly perS: number,
    nowMs: number,
  ) {
    this.left = perS * burstS;
    this.atMs = nowMs;
  }

  /** Fills up, and returns what may be read. */
  reads(nowMs: number): number {
    this.left = Math.min(this.perS * burstS, this.left + ((nowMs - this.atMs) / 1000) * this.perS);
    this.atMs = nowMs;
    return this.left;
  }

  /** What a search has read is known when it is over: the next one waits for it. */
  take(reads: number): void {
    this.left -= reads;
  }
}

export class SearchBudget {
  private readonly buckets = new LRUCache<string, Bucket>({ max: maxBuckets });
  private readonly node: Slots;
  private readonly orgs = new Map<string, { readonly slots: Slots; users: number }>();

  constructor(private readonly options: SearchBudgetOptions) {
    const { clock } = options;
    this.node = new Slots({ size: running.node, ...waiting, isShared: false, clock });
  }

  /**
   * Runs one search once there is room for it.
   * @param search returns what it found, and how many pages it read
   * @returns undefined where there is no room
   */
  async run<T>(
    org: string,
    user: string | undefined,
    search: () => Promise<{ readonly found: T; readonly reads: number }>,
  ): Promise<T | undefined> {
    const nowMs = this.options.clock.monotonic();
    const buckets = [this.bucket('', shares.node, nowMs), this.bucket(org, shares.org, nowMs)];
    // No org has a line feed in it.
    if (user !== undefined) buckets.push(this.bucket(`${org}\n${user}`, shares.user, nowMs));
    if (buckets.some((bucket) => bucket.reads(nowMs) < 1)) return undefined;
    const leave = await this.enter(org, user);
    if (leave === undefined) return undefined;
    try {
      const { found, reads } = await search();
      for (const bucket of buckets) bucket.take(reads);
      return found;
    } finally {
      leave();
    }
  }

  private bucket(name: string, share: number, nowMs: number): Bucket {
    const known = this.buckets.get(name);
    if (known !== undefined) return known;
    const bucket = new Bucket(this.options.readsPerS * share, nowMs);
    this.buckets.set(name, bucket);
    return bucket;
  }

  private async enter(org: string, user: string | undefined): Promise<(() => void) | undefined> {
    const { clock } = this.options;
    const own = this.orgs.get(org) ?? {
      slots: new Slots({ size: running.org, ...waiting, isShared: false, clock }),
      users: 0,
    };
    this.orgs.set(org, own);
    own.users += 1;
    const done = (): void => {
      own.users -= 1;
      if (own.users === 0) this.orgs.delete(org);
    };
    if (!(await taken(own.slots, user))) {
      done();
      return undefined;
    }
    const isIn = await taken(this.node, org);
    const leave = (): void => {
      own.slots.leave(user);
      done();
    };
    if (!isIn) {
      leave();
      return undefined;
    }
    return () => {
      this.node.leave(org);
      leave();
    };
  }
}

const taken = (slots: Slots, holder: string | undefined): Promise<boolean> =>
  new Promise((resolve) => {
    slots.take(
      holder,
      () => resolve(true),
      () => resolve(false),
    );
  });
