/** What a scenario found, against loadtest/budgets.json, and how it says so meanwhile. */
import { readFileSync } from 'node:fs';
import { round } from '../report.ts';

export interface Judged {
  readonly [name: string]: string | number | boolean;
  readonly figure: string;
  readonly measured: number;
  readonly unit: string;
  readonly target: string;
  readonly met: boolean;
}

export interface Outcome {
  readonly about: Readonly<Record<string, unknown>>;
  readonly rows: readonly Judged[];
}

interface LoadBudgets {
  readonly latencyP99Ms: number;
  readonly wrongEvents: number;
  readonly errorPercent: number;
  readonly publishP99Ms: number;
  /** Beyond the announced window. */
  readonly lastMovedLateMs: number;
  readonly othersP99Ms: number;
  /** Polls a second that a node can take: TURNOUT_POLL_CAPACITY, from which the kill's window is made. */
  readonly pollCapacity: number;
}

export const budgets = (
  JSON.parse(readFileSync(new URL('../budgets.json', import.meta.url), 'utf8')) as { load: LoadBudgets }
).load;

export function atMost(figure: string, measured: number, budget: number, unit: string): Judged {
  return { figure, measured, unit, target: `≤ ${budget}`, met: measured <= budget };
}

/** In percent, to three decimals. */
export function errorRate(failed: number, all: number): number {
  return round((failed / Math.max(1, all)) * 100, 3);
}

/** A line every other second. @returns what ends it. */
export function progress(line: () => string): () => void {
  const startMs = performance.now();
  const timer = setInterval(
    () => console.log(`${round((performance.now() - startMs) / 1000)} s  ${line()}`),
    2000,
  );
  return () => clearInterval(timer);
}
