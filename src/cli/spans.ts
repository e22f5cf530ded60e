/** Times as a tired reader wants them: the moment in UTC, and how long ago or until. */

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** `850 ms`, `42 s`, `5 min`, `3 h 20 min`, `2 d 4 h`. */
export function spanText(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole} ms`;
  // Rounded to the second first: 59,999 ms is a minute, not 60 seconds.
  let left = Math.round(whole / 1000) * 1000;
  const parts: string[] = [];
  for (const [name, size] of units) {
    if (parts.length === 0 && left < size) continue;
    parts.push(`${Math.floor(left / size)} ${name}`);
    left %= size;
    if (parts.length === 2) break;
  }
  return parts.filter((part, index) => index === 0 || !part.startsWith('0 ')).join(' ');
}

/** `2026-01-01 00:00:00Z (5 min ago)`. */
export function sinceText(iso: string, nowMs: number): string {
  const ageMs = nowMs - Date.parse(iso);
  const span = ageMs >= 0 ? `${spanText(ageMs)} ago` : `in ${spanText(-ageMs)}`;
  return `${momentText(iso)} (${span})`;
}

export const momentText = (iso: string): string => `${iso.slice(0, 19).replace('T', ' ')}Z`;

/** `90s`, `15m`, `1h`, `7d` as milliseconds; undefined where it is none of them. */
export function parseSpan(text: string): number | undefined {
  const found = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (found === null) return undefined;
  const sizes: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  return Number(found[1]) * (sizes[found[2] ?? ''] ?? 0);
}
