/** A drain's timetable: who is sent elsewhere goes in turns, so that those who leave don't arrive there all at once. */
import { nextTurn, Slice } from '../async/slices.ts';
import { type Clock, pause } from '../clock.ts';

/** The part of a drain's time over which people are told to go. What is left is for them to go in, and for the slow. */
export const toldPart = 0.5;

// Turns are met, and ends are seen, up to this much late.
const stepMs = 10;

/** Resolves once `isOver` holds, or at `endMs` (monotonic). */
export async function until(isOver: () => boolean, endMs: number, clock: Clock): Promise<void> {
  while (!isOver() && clock.monotonic() < endMs) await pause(clock, stepMs);
}

/**
 * Calls `tell` for each of `all`, evenly over `overMs`, the first at once.
 * @param isOver nobody is left to be told: the rest of the time isn't waited for
 */
export async function inTurns<T>(
  all: readonly T[],
  overMs: number,
  clock: Clock,
  tell: (one: T) => void,
  isOver: () => boolean,
): Promise<void> {
  const beganMs = clock.monotonic();
  let slice = new Slice(clock);
  for (const [place, one] of all.entries()) {
    // A short time, or a node that was held up: many are due at once.
    if (!slice.takes()) {
      await nextTurn();
      slice = new Slice(clock);
    }
    await until(isOver, beganMs + (place / all.length) * overMs, clock);
    tell(one);
  }
}
