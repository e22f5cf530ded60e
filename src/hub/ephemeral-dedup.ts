/** A feed's ephemeral events until its flush, without repeats: of those that say the same of the same user, one a second goes on. */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { EphemeralEvent } from '../log/entry.ts';

export class EphemeralDedup {
  private readonly seen: LRUCache<string, true>;
  private pending: EphemeralEvent[] = [];

  constructor(clock: Clock) {
    this.seen = new LRUCache({
      // Different ones in a second; past it the oldest is forgotten, which lets a repeat through and loses nothing.
      // As sizes, since `max` would allocate its slots ahead for each org.
      maxSize: 1000,
      sizeCalculation: () => 1,
      ttl: 1000,
      ttlResolution: 0,
      perf: { now: () => clock.monotonic() },
    });
  }

  add(events: readonly EphemeralEvent[]): void {
    for (const event of events) {
      if (this.seen.has(event.repeatKey)) continue;
      this.seen.set(event.repeatKey, true);
      this.pending.push(event);
    }
  }

  /** What was added since the last call, without the repeats. */
  take(): readonly EphemeralEvent[] {
    const { pending } = this;
    if (pending.length > 0) this.pending = [];
    return pending;
  }
}
