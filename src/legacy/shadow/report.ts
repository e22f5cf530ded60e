/** What the shadow has found on this node: counts by kind, and the last examples, named by keys and places alone. */
import type { ShadowSummary } from '../../../schema/admin.ts';
import type { Difference } from './compare.ts';

type DifferenceKind = keyof ShadowSummary['differences'];
/** Told of each answer: `same`, or a kind of difference. */
export type OnResult = (result: 'same' | DifferenceKind) => void;

const maxExamples = 50;
const maxKeys = 3;

const nothingFound = (): ShadowSummary => ({
  compared: 0,
  same: 0,
  mostLateMs: 0,
  differences: { missing: 0, extra: 0, order: 0, shape: 0, late: 0, unreadable: 0 },
  skipped: { 'no-cursor': 0, 'unknown-cursor': 0, reset: 0, 'log-away': 0 },
  examples: [],
});

export class ShadowReport {
  private readonly found = nothingFound();

  constructor(private readonly onResult: OnResult) {}

  add(differences: readonly Difference[], nowMs: number): void {
    const { found } = this;
    found.compared += 1;
    if (differences.length === 0) {
      found.same += 1;
      this.onResult('same');
    }
    for (const kind of new Set(differences.map((one) => one.kind))) this.count(kind);
    for (const difference of differences) {
      const { kind } = difference;
      if (kind === 'late') found.mostLateMs = Math.max(found.mostLateMs, difference.lateMs);
      this.keep(kind, nowMs, difference.keys.slice(0, maxKeys), detailOf(difference));
    }
  }

  unreadable(why: string, nowMs: number): void {
    this.found.compared += 1;
    this.count('unreadable');
    this.keep('unreadable', nowMs, [], why);
  }

  /** An answer could not be compared. */
  skip(why: keyof ShadowSummary['skipped']): void {
    this.found.skipped[why] += 1;
  }

  summary(): ShadowSummary {
    return structuredClone(this.found);
  }

  private count(kind: DifferenceKind): void {
    this.found.differences[kind] += 1;
    this.onResult(kind);
  }

  private keep(kind: DifferenceKind, at: number, keys: string[], detail: string | undefined): void {
    const { examples } = this.found;
    examples.push({ kind, at, keys, ...(detail !== undefined && { detail }) });
    if (examples.length > maxExamples) examples.shift();
  }
}

function detailOf(difference: Difference): string | undefined {
  if (difference.kind === 'shape') return difference.path;
  return difference.kind === 'late' ? `by ${Math.round(difference.lateMs)} ms` : undefined;
}

/** The reports of all nodes as one; of their examples the newest. */
export function sumShadows(parts: readonly ShadowSummary[]): ShadowSummary {
  const sum = nothingFound();
  for (const part of parts) {
    sum.compared += part.compared;
    sum.same += part.same;
    sum.mostLateMs = Math.max(sum.mostLateMs, part.mostLateMs);
    addUp(sum.differences, part.differences);
    addUp(sum.skipped, part.skipped);
    sum.examples.push(...part.examples);
  }
  const examples = sum.examples.toSorted((one, other) => one.at - other.at).slice(-maxExamples);
  return { ...sum, examples };
}

function addUp<K extends string>(sum: Record<K, number>, part: Readonly<Record<K, number>>): void {
  for (const name of Object.keys(part) as K[]) sum[name] += part[name];
}
