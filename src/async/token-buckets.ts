/**
 * A rate limit by key: so many a second, and a burst beyond that after a pause. What is one piece may go into debt, which the
 * next waits for, so that nothing is too large to pass at all.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';

interface BucketOptions {
  readonly perSecond: number;
  /** What may be spent at once after a pause. */
  readonly burst: number;
  readonly clock: Pick<Clock, 'monotonic'>;
}

const maxKeys = 50_000;

export class TokenBuckets {
  // The least recently used is forgotten first; its bucket is full by then, but for one in debt among so many that spend.
  private readonly buckets = new LRUCache<string, { left: number; atMs: number }>({ max: maxKeys });

  constructor(private readonly options: BucketOptions) {}

  /** Returns the seconds after which the key may spend again; 0 where it may now. */
  waitS(key: string): number {
    return this.secondsOf(this.bucketOf(key));
  }

  /** Spends one where it may be spent now. Returns 0 then, else the seconds to wait. */
  take(key: string): number {
    const bucket = this.bucketOf(key);
    if (bucket.left < 1) return this.secondsOf(bucket);
    bucket.left -= 1;
    return 0;
  }

  spend(key: string, amount: number): void {
    this.bucketOf(key).left -= amount;
  }

  private secondsOf({ left }: { readonly left: number }): number {
    return left >= 1 ? 0 : Math.ceil((1 - left) / this.options.perSecond);
  }

  private bucketOf(key: string): { left: number; atMs: number } {
    const { perSecond, burst, clock } = this.options;
    const nowMs = clock.monotonic();
    let bucket = this.buckets.get(key);
    if (bucket === undefined) {
      bucket = { left: burst, atMs: nowMs };
      this.buckets.set(key, bucket);
    }
    bucket.left = Math.min(burst, bucket.left + ((nowMs - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = nowMs;
    return bucket;
  }
}
