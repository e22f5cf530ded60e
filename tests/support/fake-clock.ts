/**
 * The tests' clock, for src and for the SDK. It stands still until a test moves it; with `runs` it keeps real time, and a test
 * moves it on besides. Randomness and, unless it runs, ids and tags are predictable.
 */
import { type Cancel, type Clock, systemClock } from '../../src/clock.ts';

interface Timer {
  dueMs: number;
  readonly everyMs: number | undefined;
  readonly run: () => void;
  cancelReal: Cancel;
}

export interface FakeClockOptions {
  /** Keeps real time: timers also run by themselves. */
  readonly runs?: boolean;
  /** Returns how long a timer for `ms` takes here. */
  readonly shorten?: (ms: number) => number;
}

export class FakeClock implements Clock {
  /** What each timer was started for, in milliseconds. */
  readonly waits: number[] = [];
  private readonly options: FakeClockOptions;
  private readonly timers = new Set<Timer>();
  private readonly startMs = systemClock.monotonic();
  /** Unix time where `monotonic` is 0. */
  private originMs: number;
  private skippedMs = 0;
  private drawn = 0;

  constructor(options: FakeClockOptions = {}) {
    this.options = options;
    this.originMs = options.runs === true ? systemClock.now() : Date.UTC(2026, 0, 1);
  }

  now(): number {
    return this.originMs + this.monotonic();
  }
  monotonic(): number {
    const realMs = this.options.runs === true ? systemClock.monotonic() - this.startMs : 0;
    return realMs + this.skippedMs;
  }
  random(): number {
    return 0.5;
  }
  id(): string {
    return this.options.runs === true ? systemClock.id() : `id-${++this.drawn}`;
  }
  tag(bits: number): string {
    if (this.options.runs === true) return systemClock.tag(bits);
    return (++this.drawn).toString(36).padStart(Math.ceil(bits / 6), '0');
  }
  after(ms: number, run: () => void): Cancel {
    return this.start(ms, undefined, run);
  }
  every(ms: number, run: () => void): Cancel {
    return this.start(ms, ms, run);
  }

  /** Timers that are neither cancelled nor over. */
  get pending(): number {
    return this.timers.size;
  }

  /** Moves time on, running each timer that comes due at its own moment, in order. */
  advance(ms: number): void {
    const untilMs = this.monotonic() + ms;
    for (let timer = this.nextDue(untilMs); timer !== undefined; timer = this.nextDue(untilMs)) {
      this.stall(timer.dueMs - this.monotonic());
      this.ring(timer);
    }
    this.stall(untilMs - this.monotonic());
  }

  /** Moves time on without running a timer, as when the process is stopped. */
  stall(ms: number): void {
    this.skippedMs += Math.max(0, ms);
  }

  /** Sets the wall clock alone, back too: no timer runs, and spans don't change. */
  setNow(ms: number): void {
    this.originMs = ms - this.monotonic();
  }

  private start(ms: number, everyMs: number | undefined, run: () => void): Cancel {
    this.waits.push(ms);
    const forMs = this.options.shorten?.(ms) ?? ms;
    const timer: Timer = { dueMs: this.monotonic() + forMs, everyMs, run, cancelReal: () => undefined };
    this.timers.add(timer);
    this.runReal(timer);
    return () => this.drop(timer);
  }

  private runReal(timer: Timer): void {
    if (this.options.runs === true)
      timer.cancelReal = systemClock.after(timer.dueMs - this.monotonic(), () => this.ring(timer));
  }

  private ring(timer: Timer): void {
    timer.cancelReal();
    if (timer.everyMs === undefined) this.timers.delete(timer);
    else {
      timer.dueMs += timer.everyMs;
      this.runReal(timer);
    }
    timer.run();
  }

  private drop(timer: Timer): void {
    timer.cancelReal();
    this.timers.delete(timer);
  }

  private nextDue(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers)
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    return next;
  }
}
