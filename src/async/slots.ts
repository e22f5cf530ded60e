/** A semaphore with a bounded queue before it, first come first served, in which nobody waits past a deadline. */
import type { Cancel, Clock } from '../clock.ts';

interface SlotOptions {
  readonly size: number;
  readonly maxQueued: number;
  readonly queueMs: number;
  readonly clock: Pick<Clock, 'after'>;
}

export class Slots {
  private used = 0;
  private readonly queue = new Set<() => void>();

  constructor(private readonly options: SlotOptions) {}

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
    const giveUp = (): void => {
      stop();
      this.queue.delete(turn);
    };
    const turn = (): void => {
      giveUp();
      enter();
    };
    const stop = clock.after(queueMs, () => {
      giveUp();
      refuse();
    });
    this.queue.add(turn);
    return giveUp;
  }

  leave(): void {
    const [next] = this.queue;
    // The slot goes from one to the other: `used` stays.
    if (next === undefined) this.used -= 1;
    else next();
  }
}

const noop = (): void => undefined;
