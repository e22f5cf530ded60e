/** A clock that stands still until a test moves it; its randomness is counted out, so that ids and tags can be foretold. */
import type { Cancel, Clock } from '../../src/clock.ts';

interface Timer {
  dueMs: number;
  readonly everyMs: number | undefined;
  readonly run: () => void;
}

export interface ManualClock extends Clock {
  /** Moves time on, running each timer that comes due at its own moment, in order. */
  advance(ms: number): void;
  /** Sets the wall clock alone, back too; no timer runs and spans are not touched. */
  setNow(ms: number): void;
}

export function manualClock(startMs = Date.parse('2026-01-01T00:00:00.000Z')): ManualClock {
  let nowMs = startMs;
  let elapsedMs = 0;
  let drawn = 0;
  const timers = new Set<Timer>();
  const start = (ms: number, everyMs: number | undefined, run: () => void): Cancel => {
    const timer: Timer = { dueMs: elapsedMs + ms, everyMs, run };
    timers.add(timer);
    return () => timers.delete(timer);
  };
  const move = (toMs: number) => {
    nowMs += toMs - elapsedMs;
    elapsedMs = toMs;
  };
  const nextDue = (untilMs: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers)
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    return next;
  };
  return {
    now: () => nowMs,
    monotonic: () => elapsedMs,
    random: () => 0.5,
    id: () => `id-${++drawn}`,
    tag: (bits) => (++drawn).toString(36).padStart(Math.ceil(bits / 6), '0'),
    after: (ms, run) => start(ms, undefined, run),
    every: (ms, run) => start(ms, ms, run),
    advance(ms) {
      const untilMs = elapsedMs + ms;
      for (let timer = nextDue(untilMs); timer !== undefined; timer = nextDue(untilMs)) {
        move(timer.dueMs);
        if (timer.everyMs === undefined) timers.delete(timer);
        else timer.dueMs += timer.everyMs;
        timer.run();
      }
      move(untilMs);
    },
    setNow: (ms) => {
      nowMs = ms;
    },
  };
}
