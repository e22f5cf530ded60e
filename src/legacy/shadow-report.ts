/** What the shadow has found on this node: counts by kind, and the last examples, named by keys and places alone. */
import type { Difference } from './compare.ts';

/** Why an answer could not be compared. */
export type Skipped = 'no-cursor' | 'unknown-cursor' | 'reset' | 'log-away';
export type DifferenceKind = Difference['kind'] | 'unreadable';

export interface ShadowExample {
  readonly kind: DifferenceKind;
  /** Unix milliseconds. */
  readonly at: number;
  /** At most three. */
  readonly keys: readonly string[];
  /** Where the events differ, or why the answer could not be read. */
  readonly detail: string | undefined;
}

export interface ShadowSummary {
  readonly compared: number;
  readonly same: number;
  /** Answers with a difference of that kind. */
  readonly differences: Readonly<Record<DifferenceKind, number>>;
  readonly skipped: Readonly<Record<Skipped, number>>;
  /** The longest that the log was behind an answer, milliseconds. */
  readonly mostLateMs: number;
  /** The newest last. */
  readonly examples: readonly ShadowExample[];
}

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
      this.keep({ kind, at: nowMs, keys: keys.slice(0, maxKeys), detail });
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
