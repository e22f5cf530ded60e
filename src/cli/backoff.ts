/** How long to wait after failures in a row: 1, 2, 4, 8, 16 s and so on with 16, each by ±20 %. Pure. */
import type { Clock } from '../clock.ts';

const stepsMs = [1000, 2000, 4000, 8000, 16_000];
const jitter = 0.2;

/** @param failures before this wait, the one that leads to it not counted */
export function pauseMs(failures: number, clock: Pick<Clock, 'random'>): number {
  const step = stepsMs[Math.min(failures, stepsMs.length - 1)] ?? 0;
  return step * (1 - jitter + 2 * jitter * clock.random());
}
