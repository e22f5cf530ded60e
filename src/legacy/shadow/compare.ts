/**
 * Two answers to one poll, the old backend's and the one that Turnout would have given, compared. Pure. It names events by
 * their keys and differences by their places, never by what stood there.
 */

/** One event of an answer. */
export interface Seen {
  /** What names it in the source. */
  readonly key: string;
  /** In the old API's shape. */
  readonly event: unknown;
}

/** One that Turnout has, with the time at which its log took it, Unix milliseconds. */
export interface Had extends Seen {
  readonly ms: number;
}

export type Difference =
  /**
   * `missing`: the upstream gave it, Turnout does not have it. `extra`: Turnout has it, and the upstream left it out.
   * `order`: the same events in another order; the first place at which it differs.
   */
  | { readonly kind: 'missing' | 'extra' | 'order'; readonly keys: readonly string[] }
  /** The same event written otherwise: where. */
  | { readonly kind: 'shape'; readonly keys: readonly string[]; readonly path: string }
  /** The log had it only after the old backend had answered. */
  | { readonly kind: 'late'; readonly keys: readonly string[]; readonly lateMs: number };

/** The log's clock and ours may differ by so much, and a bridge reads in the same moment as the client. */
export const toleranceMs = 1000;

export interface Comparison {
  readonly old: readonly Seen[];
  /** Everything of the log behind the client's place, up to the last event that the old backend gave. */
  readonly ours: readonly Had[];
  /** When the old backend's answer came, Unix milliseconds. */
  readonly answeredMs: number;
  /** Places in an event that may differ. */
  readonly ignored: ReadonlySet<string>;
}

/** Every difference between the two; none: they are the same. */
export function compareAnswers({ old, ours, answeredMs, ignored }: Comparison): Difference[] {
  const byKey = new Map(ours.map((one) => [one.key, one]));
  const oldKeys = new Set(old.map(({ key }) => key));
  const missing = old.filter(({ key }) => !byKey.has(key)).map(({ key }) => key);
  const extra = ours.filter(({ key }) => !oldKeys.has(key)).map(({ key }) => key);
  const differences: Difference[] = [];
  if (missing.length > 0) differences.push({ kind: 'missing', keys: missing });
  if (extra.length > 0) differences.push({ kind: 'extra', keys: extra });
  const swapped = firstSwap(
    old.flatMap(({ key }) => (byKey.has(key) ? key : [])),
    ours.flatMap(({ key }) => (oldKeys.has(key) ? key : [])),
  );
  if (swapped !== undefined) differences.push({ kind: 'order', keys: swapped });
  for (const { key, event } of old) {
    const had = byKey.get(key);
    const path = had && firstDifference(event, had.event, '$', ignored);
    if (path !== undefined) differences.push({ kind: 'shape', keys: [key], path });
  }
  const late = old
    .flatMap(({ key }) => byKey.get(key) ?? [])
    .filter(({ ms }) => ms - answeredMs > toleranceMs);
  const lateMs = Math.max(...late.map(({ ms }) => ms - answeredMs));
  if (late.length > 0) differences.push({ kind: 'late', keys: late.map(({ key }) => key), lateMs });
  return differences;
}

function firstSwap(one: readonly string[], other: readonly string[]): readonly string[] | undefined {
  const place = one.findIndex((key, index) => key !== other[index]);
  const [ours, theirs] = [one[place], other[place]];
  return ours === undefined || theirs === undefined ? undefined : [ours, theirs];
}

/** The first place at which two JSON values differ; undefined where they don't. The order of an object's keys is no matter. */
function firstDifference(
  one: unknown,
  other: unknown,
  at: string,
  ignored: ReadonlySet<string>,
): string | undefined {
  if (ignored.has(at) || one === other) return undefined;
  if (!isObject(one) || !isObject(other) || Array.isArray(one) !== Array.isArray(other)) return at;
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  for (const name of names) {
    const place = Array.isArray(one) ? `${at}[${name}]` : `${at}.${name}`;
    const found = firstDifference(one[name], other[name], place, ignored);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** Events of one instant share a key where timestamps are the cursors: those after the first are numbered as they stand. */
export function numbering(): (key: string) => string {
  const seen = new Map<string, number>();
  return (key) => {
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count === 1 ? key : `${key}\n${count}`;
  };
}

/** Without its number. */
export const bareKey = (key: string): string => key.split('\n', 1)[0] ?? key;
