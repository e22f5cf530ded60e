/** Waiting for facts, not for time. */
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** Resolves once `fact` holds. @throws after `withinMs`, naming what was waited for. */
export async function until(
  fact: () => boolean | Promise<boolean>,
  what: string | (() => string) = 'a fact',
  withinMs = 10_000,
): Promise<void> {
  const began = Date.now();
  while (!(await fact())) {
    const waitedMs = Date.now() - began;
    if (waitedMs > withinMs)
      throw new Error(`waited ${withinMs} ms in vain for ${typeof what === 'string' ? what : what()}`);
    // A fact is often a request: what takes long is asked less often, and leaves the cores to what it waits for.
    await sleep(waitedMs < 300 ? 5 : 20);
  }
}

/** `promise`, or a rejection that names what was waited for when it took longer than `withinMs`. */
export async function within<T>(promise: Promise<T>, what: string, withinMs = 10_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${withinMs} ms in vain for ${what}`)), withinMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
