/** Waiting for facts, not for time. Every wait of a test has the same deadline; a timed-out wait prints what it saw last. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

export { sleep };

/** Longer than anything takes on a busy machine; the tests' own timeouts in vitest.config.ts are longer still. */
const deadlineMs = 30_000;

/**
 * Repeats `probe` until it answers what is wanted.
 * @param what the wait's name in the error, or a function that also describes the state at the deadline
 * @param wanted the answer, or a function that tells it; without it any truthy answer ends the wait
 * @throws at the deadline, with the last answer
 */
export async function until<T>(
  probe: () => T | Promise<T>,
  what: string | (() => string) = () => String(probe),
  wanted: NoInfer<T> | ((seen: T) => boolean) = Boolean,
): Promise<void> {
  const holds =
    typeof wanted === 'function' ? (wanted as (seen: T) => boolean) : Object.is.bind(undefined, wanted);
  const began = performance.now();
  for (;;) {
    const seen = await probe();
    if (holds(seen)) return;
    const waitedMs = performance.now() - began;
    if (waitedMs > deadlineMs) {
      const last = inspect(seen, { depth: 4, breakLength: Number.POSITIVE_INFINITY }).slice(0, 2000);
      throw new Error(`${inVain(what)}; last seen: ${last}`);
    }
    // A probe is often a request: a long wait asks less often, and leaves the cores to what it waits for.
    await sleep(waitedMs < 300 ? 5 : 20);
  }
}

/** @returns what `promise` resolves to. @throws at the deadline, naming what was waited for */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(inVain(what))), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const inVain = (what: string | (() => string)): string =>
  `waited ${deadlineMs / 1000} s in vain for ${typeof what === 'string' ? what : what()}`;
