/** What the shadow has found on this node: counts by kind, and the last examples, named by keys and places alone. */
import type { ShadowSummary } from '../../../schema/admin.ts';
import type { Difference } from '../dialect/compare.ts';

/** Why an answer could not be compared. */
export type Skipped = keyof ShadowSummary['skipped'];
export type DifferenceKind = Difference['kind'] | 'unreadable';

type ShadowExample = ShadowSummary['examples'][number];

const maxExamples = 50;
const maxKeys = 3;

export class ShadowReport {
  /** Called for each answer with a word for the metrics: `same`, or a kind of difference. */
  onResult: (result: 'same' | DifferenceKind) => void = () => undefined;
  private compared = 0;
  private same = 0;
  private mostLateMs = 0;
  private readonly differences = { missing: 0, extra: 0, order: 0, shape: 0, late: 0, unreadable: 0 };
  private readonly skipped = { 'no-cursor': 0, 'unknown-cursor': 0, reset: 0, 'log-away': 0 };
  private readonly examples: ShadowExample[] = [];

  add(differences: readonly Difference[], nowMs: number): void {
    this.compared += 1;
    if (differences.length === 0) {
      this.same += 1;
      this.onResult('same');
      return;
    }
    for (const kind of new Set(differences.map((one) => one.kind))) this.count(kind);
    for (const difference of differences) {
      const { kind, keys } = difference;
      if (kind === 'late') this.mostLateMs = Math.max(this.mostLateMs, difference.lateMs);
      const detail =
        kind === 'shape'
          ? difference.path
          : kind === 'late'
            ? `by ${Math.round(difference.lateMs)} ms`
            : undefined;
      this.keep({ kind, at: nowMs, keys: keys.slice(0, maxKeys), ...(detail !== undefined && { detail }) });
    }
  }

  unreadable(why: string, nowMs: number): void {
    this.compared += 1;
    this.count('unreadable');
    this.keep({ kind: 'unreadable', at: nowMs, keys: [], detail: why });
  }

  skip(why: Skipped): void {
    this.skipped[why] += 1;
  }

  summary(): ShadowSummary {
    const { compared, same, mostLateMs } = this;
    return {
      compared,
      same,
      mostLateMs,
      differences: { ...this.differences },
      skipped: { ...this.skipped },
      examples: [...this.examples],
    };
  }

  private count(kind: DifferenceKind): void {
    this.differences[kind] += 1;
    this.onResult(kind);
  }

  private keep(example: ShadowExample): void {
    this.examples.push(example);
    if (this.examples.length > maxExamples) this.examples.shift();
  }
}

/** The reports of all nodes as one; of their examples the newest. */
export function sumShadows(parts: readonly ShadowSummary[]): ShadowSummary {
  const sum = new ShadowReport().summary();
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
