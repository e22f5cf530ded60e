/** How long to wait, as data: the machine says which kind of wait it is, the driver draws the moment. */

/** Around a base (±`jitter`, a share of it), or anywhere in a window. Milliseconds. */
export type Delay = { readonly baseMs: number; readonly jitter: number } | { readonly withinMs: number };

/** The delay before retry number `attempt` (from 0); the last step repeats. */
export function backoff(
  attempt: number,
  settings: { readonly backoffMs: readonly number[]; readonly jitter: number },
): Delay {
  const { backoffMs, jitter } = settings;
  const baseMs = backoffMs[Math.min(attempt, backoffMs.length - 1)] ?? 1000;
  return { baseMs, jitter };
}

/** @param random in [0, 1). */
export function drawMs(delay: Delay, random: number): number {
  if ('withinMs' in delay) return random * delay.withinMs;
  return delay.baseMs * (1 + delay.jitter * (2 * random - 1));
}
