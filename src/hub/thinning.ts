/** Thins what is said again and again: of ephemeral events that say the same of the same user, one a second goes on. */
import type { Clock } from '../clock.ts';
import type { EphemeralEvent } from '../log/entry.ts';

const windowMs = 1000;
// Different ones in a second; past it the oldest is forgotten, which lets a repeat through and loses nothing.
const maxKeys = 1000;

export class Thinning {
  private readonly clock: Clock;
  /** When each was let through, oldest first. */
  private readonly seenMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Those that are no repeat. */
  pass(events: readonly EphemeralEvent[]): EphemeralEvent[] {
    const nowMs = this.clock.monotonic();
    return events.filter(({ repeatKey }) => {
      const seenMs = this.seenMs.get(repeatKey);
      if (seenMs !== undefined && nowMs - seenMs < windowMs) return false;
      this.seenMs.delete(repeatKey);
      this.seenMs.set(repeatKey, nowMs);
      const [oldest] = this.seenMs.keys();
      if (this.seenMs.size > maxKeys && oldest !== undefined) this.seenMs.delete(oldest);
      return true;
    });
  }
}
