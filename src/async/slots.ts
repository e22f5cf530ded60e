/**
 * A semaphore with a bounded queue before it, in which nobody waits past a deadline. Holders (addresses, say) have their
 * turns one after the other, each first come first served: a holder with a thousand in the queue is as far from its next slot
 * as one with a single. A full queue makes room by refusing the newest of the holder with the most.
 */
import type { Cancel, Clock } from '../clock.ts';
import { Shares } from './shares.ts';

interface SlotOptions {
  readonly size: number;
  readonly maxQueued: number;
  readonly queueMs: number;
  /** True where slots are held for long: no holder has more than its share of them (src/async/shares.ts). */
  readonly isShared: boolean;
  readonly clock: Pick<Clock, 'after'>;
}

interface Waiting {
  readonly holder: string | undefined;
  readonly enter: () => void;
  readonly refuse: () => void;
  stop: Cancel;
}

export class Slots {
  private readonly shares: Shares;
  /** Never an empty queue; the holder whose turn is next comes first. */
  private readonly queues = new Map<string | undefined, Waiting[]>();
  private queued = 0;

  constructor(private readonly options: SlotOptions) {
    this.shares = new Shares(options.size);
  }

  /**
   * Calls `enter` once there is room, perhaps at once, or `refuse` where the queue is full or the wait too long. Each
   * `enter` owes one `leave`.
   * @param holder undefined: one whom no share binds; it has its turns as all have
   * @returns gives the place in the queue up; harmless afterwards
   */
  take(holder: string | undefined, enter: () => void, refuse: () => void): Cancel {
    const { queueMs, clock } = this.options;
    if (this.hasRoom(holder)) {
      this.shares.take(holder);
      enter();
      return noop;
    }
    if (!this.makeRoom(holder)) {
      refuse();
      return noop;
    }
    const waiting: Waiting = { holder, enter, refuse, stop: noop };
    const giveUp = (): boolean => this.drop(waiting);
    waiting.stop = clock.after(queueMs, () => {
      if (giveUp()) refuse();
    });
    const theirs = this.queues.get(holder);
    if (theirs === undefined) this.queues.set(holder, [waiting]);
    else theirs.push(waiting);
    this.queued += 1;
    return giveUp;
  }

  /** @param holder as it was given to `take` */
  leave(holder: string | undefined): void {
    this.shares.leave(holder);
    for (let next = this.next(); next !== undefined; next = this.next()) {
      this.drop(next);
      this.shares.take(next.holder);
      next.enter();
    }
  }

  /** Runs `work` in a slot. @throws what `refusal` makes, where there is none in time */
  async run<T>(holder: string | undefined, work: () => Promise<T>, refusal: () => Error): Promise<T> {
    await new Promise<void>((enter, reject) => {
      this.take(holder, enter, () => reject(refusal()));
    });
    try {
      return await work();
    } finally {
      this.leave(holder);
    }
  }

  private hasRoom(holder: string | undefined): boolean {
    return this.shares.hasRoom(this.options.isShared ? holder : undefined);
  }

  /** The first of those whose turn it is. */
  private next(): Waiting | undefined {
    if (this.shares.isFull) return undefined;
    for (const [holder, [first]] of this.queues) if (this.hasRoom(holder)) return first;
    return undefined;
  }

  /** False where the queue is full and nobody has more in it than `holder`. */
  private makeRoom(holder: string | undefined): boolean {
    if (this.queued < this.options.maxQueued) return true;
    let most: Waiting[] = [];
    for (const queue of this.queues.values()) if (queue.length > most.length) most = queue;
    const newest = most.at(-1);
    if (newest === undefined || most.length <= (this.queues.get(holder)?.length ?? 0) + 1) return false;
    this.drop(newest);
    newest.refuse();
    return true;
  }

  /** Takes it out of the queue; its holder's next turn comes after all others'. False where it had left. */
  private drop(waiting: Waiting): boolean {
    const { holder } = waiting;
    const queue = this.queues.get(holder) ?? [];
    const place = queue.indexOf(waiting);
    if (place === -1) return false;
    waiting.stop();
    queue.splice(place, 1);
    this.queued -= 1;
    const hadTurn = place === 0;
    if (hadTurn || queue.length === 0) this.queues.delete(holder);
    if (hadTurn && queue.length > 0) this.queues.set(holder, queue);
    return true;
  }
}

const noop = (): void => undefined;
