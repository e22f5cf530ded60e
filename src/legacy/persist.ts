/** Trying again until it works, at growing distances, for as long as somebody wants it. */
import { type Clock, pause } from '../clock.ts';

export interface Persistence {
  readonly clock: Pick<Clock, 'after' | 'random'>;
  readonly signal: AbortSignal;
  readonly onFailure: (error: unknown) => void;
}

const pauseMs = { first: 100, most: 3000 };

/**
 * Runs `attempt` until it resolves or `signal` is aborted; what is thrown after that is nobody's concern.
 * @param attempt is given what it calls once it works, so that its next failure is tried again soon
 */
export async function persist(
  attempt: (worked: () => void) => Promise<void>,
  { clock, signal, onFailure }: Persistence,
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
      const mostMs = Math.min(pauseMs.first * 2 ** Math.min(failures, 10), pauseMs.most);
      failures += 1;
      await pause(clock, mostMs * (0.5 + clock.random() / 2), signal);
    }
  }
}
