/**
 * Visits many in slices, between which the event loop turns: a walk over every connection of a node must not keep one of
 * them waiting for its end.
 */
import type { Clock } from '../clock.ts';

/** Visited before the event loop turns, unless they take longer than some milliseconds. */
const sliceSize = 1000;
const sliceMs = 5;

/** What may be visited before the event loop turns. */
export class Slice {
  private visited = 0;
  private readonly untilMs: number;

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {
    this.untilMs = clock.monotonic() + sliceMs;
  }

  /** Whether one more may be visited: counts it. */
  takes(): boolean {
    this.visited += 1;
    return this.visited <= sliceSize && this.clock.monotonic() <= this.untilMs;
  }
}

/** Resolves when the event loop has turned: what waited for it has had its turn. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Calls `visit` for each of `all`, in slices, until it answers false. The first slice is visited at once; what comes or goes
 * during the walk may be seen or not.
 */
export async function inSlices<T>(
  all: Iterable<T>,
  clock: Pick<Clock, 'monotonic'>,
  visit: (one: T) => unknown,
): Promise<void> {
  let slice = new Slice(clock);
  for (const one of all) {
    if (!slice.takes()) {
      await nextTurn();
      slice = new Slice(clock);
      slice.takes();
    }
    if (visit(one) === false) return;
  }
}
