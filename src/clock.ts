/** Time, randomness and timers, so that tests can hold all three. Nothing else in src may call Date.now or Math.random. */
import { randomBytes, randomUUID } from 'node:crypto';

/** Releases a timer; calling it twice is harmless. */
export type Cancel = () => void;

export interface Clock {
  /** Unix time in milliseconds. */
  now(): number;
  /** Milliseconds since some start, never going back: for measuring spans. */
  monotonic(): number;
  /** A number in [0, 1). */
  random(): number;
  /** A random id: 128 bits, printable, URL-safe. */
  id(): string;
  /** `bits` random bits (a multiple of 24 gives no padding), as base64url. */
  tag(bits: number): string;
  after(ms: number, run: () => void): Cancel;
  every(ms: number, run: () => void): Cancel;
}

/** Resolves after `ms`, or at once when `signal` is aborted. Without one only for waits that are short by themselves. */
export function pause(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener('abort', done);
  });
}

const bootMs = performance.now();

/** The clock of a running node. Its timers don't keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() - bootMs,
  random: () => Math.random(),
  id: () => randomUUID(),
  tag: (bits) => randomBytes(Math.ceil(bits / 8)).toString('base64url'),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
