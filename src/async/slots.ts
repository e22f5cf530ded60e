/** A bounded number of things at a time, and a bounded queue before it, first come first served. */
import type { Cancel, Clock } from '../clock.ts';

export interface SlotOptions {
  readonly size: number;
  readonly maxQueued: number;
  readonly queueMs: number;
  readonly clock: Pick<Clock, 'after'>;
}

export class Slots {
  private readonly options: SlotOptions;
  private used = 0;
  private readonly queue = new Set<() => void>();

  constructor(options: SlotOptions) {
    this.options = options;
  }

  /**
   * Calls `enter` once there is room, perhaps at once, or `refuse` where the queue is full or the wait too long. Each
   * `enter` owes one `leave`.
   * @returns gives the place in the queue up; harmless afterwards
   */
  take(enter: () => void, refuse: () => void): Cancel {
    const { size, maxQueued, queueMs, clock } = this.options;
    if (this.used < size) {
      this.used += 1;
      enter();
      return noop;
    }
    if (this.queue.size >= maxQueued) {
      refuse();
      return noop;
    }
    const stop = clock.after(queueMs, () => {
      this.queue.delete(turn);
      refuse();
    });
    const turn = (): void => {
      stop();
      enter();
    };
    this.queue.add(turn);
    return () => {
      stop();
      this.queue.delete(turn);
    };
  }

  leave(): void {
    const [next] = this.queue;
    if (next === undefined) {
      this.used -= 1;
      return;
    }
    // The slot goes from one to the other: `used` stays.
    this.queue.delete(next);
    next();
  }
}

const noop = (): void => undefined;
