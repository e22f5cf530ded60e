/** Retry with exponential backoff and jitter: the delays, and the loop that most callers want. */
import { type Clock, pause } from '../clock.ts';

export interface Backoff {
  /** Bound of the first delay. */
  readonly firstMs: number;
  /** Bound of every later delay. */
  readonly maxMs: number;
  /** Factors of the bound that a delay lies between; absent: half of it and all of it. */
  readonly jitter?: readonly [least: number, most: number];
}

/** @returns a delay by the bound, which doubles with each failure in a row, and its jitter. `failures`: 0 for the first. */
export function backoffMs(
  failures: number,
  { firstMs, maxMs, jitter: [least, most] = [0.5, 1] }: Backoff,
  clock: Pick<Clock, 'random'>,
): number {
  const boundMs = Math.min(firstMs * 2 ** Math.min(failures, 20), maxMs);
  return boundMs * (least + (most - least) * clock.random());
}

export interface RetryOptions {
  readonly clock: Pick<Clock, 'after' | 'random'>;
  readonly signal: AbortSignal;
  readonly onFailure: (error: unknown) => void;
  readonly backoff?: Backoff;
}

const defaultBackoff: Backoff = { firstMs: 100, maxMs: 3000 };

/**
 * Runs `attempt` until it resolves or `signal` aborts. Never rejects: errors thrown after the abort are ignored.
 * @param attempt calls its argument once it works, so that the next failure is retried soon
 */
export async function retryUntilAborted(
  attempt: (worked: () => void) => Promise<void>,
  { clock, signal, onFailure, backoff = defaultBackoff }: RetryOptions,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await attempt(() => {
        failures = 0;
      });
      return;
    } catch (error) {
      if (signal.aborted) return;
      onFailure(error);
      await pause(clock, backoffMs(failures, backoff, clock), signal);
      failures += 1;
    }
  }
}
