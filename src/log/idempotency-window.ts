/** The ids an org's log has stored lately, each with its seq: bounded by count and by age, so never a leak. */
import { TrimmedList } from './trimmed-list.ts';

interface Remembered {
  readonly key: string;
  readonly ms: number;
}

export class IdempotencyWindow {
  private readonly seqs = new Map<string, number>();
  // The order is kept beside the map: deleting a Map's first key over and over walks all the holes left before it.
  private readonly order = new TrimmedList<Remembered>();

  constructor(
    private readonly maxIds: number,
    private readonly maxAgeMs: number,
  ) {}

  /** The seq first given to `key`, if that is inside the window as of the last `expire`. */
  find(key: string): number | undefined {
    return this.seqs.get(key);
  }

  /** @param key one that `find` doesn't know. @param ms not before that of the last call. */
  add(key: string, seq: number, ms: number): void {
    this.seqs.set(key, seq);
    this.order.push({ key, ms });
    if (this.order.length > this.maxIds) this.dropOldest();
  }

  /** Forgets what is older than the window. */
  expire(nowMs: number): void {
    for (let oldest = this.order.at(0); oldest !== undefined; oldest = this.order.at(0)) {
      if (nowMs - oldest.ms <= this.maxAgeMs) return;
      this.dropOldest();
    }
  }

  get isEmpty(): boolean {
    return this.order.length === 0;
  }

  private dropOldest(): void {
    const oldest = this.order.at(0);
    if (oldest === undefined) return;
    this.seqs.delete(oldest.key);
    this.order.dropFirst(1);
  }
}
