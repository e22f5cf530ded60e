/** The SDK's clock, going at its pace, whose time a test can move on: what is waited for longer than a test lasts comes due. */
import { type ClientClock, systemClock } from '../../clients/js/index.ts';

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
  readonly cancel: () => void;
}

export interface SkippingClock extends ClientClock {
  /** So many milliseconds pass at once; timers that come due by that run now, in order. */
  skip(ms: number): void;
}

export function skippingClock(): SkippingClock {
  const timers = new Set<Timer>();
  let skippedMs = 0;
  const now = (): number => systemClock.now() + skippedMs;
  return {
    ...systemClock,
    now,
    after(ms, run) {
      const ring = (): void => {
        timers.delete(timer);
        run();
      };
      const timer: Timer = { dueMs: now() + ms, run: ring, cancel: systemClock.after(ms, ring) };
      timers.add(timer);
      return () => {
        timers.delete(timer);
        timer.cancel();
      };
    },
    skip(ms) {
      skippedMs += ms;
      const due = [...timers].filter(({ dueMs }) => dueMs <= now()).toSorted((a, b) => a.dueMs - b.dueMs);
      for (const timer of due) {
        // An earlier one may have cancelled it.
        if (!timers.has(timer)) continue;
        timer.cancel();
        timer.run();
      }
    },
  };
}
