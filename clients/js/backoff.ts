/** How long to wait, as data: the machine says which kind of wait it is, the driver draws the moment. */

/**
 * Around a base (±`jitter`, a share of it) and past `atLeastMs`, where the gateway asked for that; or anywhere in a
 * window. Milliseconds.
 */
export type Delay =
  | { readonly baseMs: number; readonly jitter: number; readonly atLeastMs?: number | undefined }
  | { readonly withinMs: number };

/** The delay before retry number `attempt` (from 0); the last step repeats. @param atLeastMs what `Retry-After` asked for. */
export function backoff(
  attempt: number,
  settings: { readonly backoffMs: readonly number[]; readonly jitter: number },
  atLeastMs?: number,
): Delay {
  const { backoffMs, jitter } = settings;
  const baseMs = backoffMs[Math.min(attempt, backoffMs.length - 1)] ?? 1000;
  return { baseMs, jitter, atLeastMs };
}

/** @param random in [0, 1). */
export function drawMs(delay: Delay, random: number): number {
  if ('withinMs' in delay) return random * delay.withinMs;
  const { baseMs, jitter, atLeastMs = 0 } = delay;
  // Spread past what was asked for, never before it: many were told the same second.
  return Math.max(baseMs * (1 + jitter * (2 * random - 1)), atLeastMs * (1 + jitter * random));
}
