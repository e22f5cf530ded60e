/** A deadline for a promise that has none. */
import type { Clock } from '../clock.ts';

/** Settles as `promise` does, or rejects with an error that names `what` after `ms`. The operation itself is not cancelled. */
export function withDeadline<T>(
  promise: Promise<T>,
  ms: number,
  what: string,
  clock: Pick<Clock, 'after'>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error(`${what} took over ${ms} ms`)));
    promise.finally(cancel).then(resolve, reject);
  });
}
