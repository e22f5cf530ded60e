/** Counts a vitest run as the test command reports it: what is not plainly passed is failed. */
import type { SerializedError } from 'vitest';
import type { TestModule } from 'vitest/node';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly suites: readonly { readonly file: string; readonly ms: number }[];
  /** One line for each failure that vitest's own report doesn't count as a failed test. */
  readonly complaints: readonly string[];
}

export function tallyRun(
  modules: readonly TestModule[],
  unhandled: readonly SerializedError[],
  { allowsSkips }: { allowsSkips: boolean },
): Tally {
  let passed = 0;
  let failed = unhandled.length;
  const complaints = unhandled.map((error) => `failed: unhandled error: ${error.message}`);
  const suites: { file: string; ms: number }[] = [];

  const complain = (what: string): void => {
    failed += 1;
    complaints.push(`failed: ${what}`);
  };

  for (const module of modules) {
    const { collectDuration, setupDuration, duration } = module.diagnostic();
    suites.push({ file: module.moduleId, ms: collectDuration + setupDuration + duration });
    if (module.errors().length > 0) complain(`${module.relativeModuleId}: the file itself`);
    for (const suite of module.children.allSuites())
      if (suite.errors().length > 0) complain(`${suite.fullName}: a hook of it`);
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'failed') failed += 1;
      else if (!allowsSkips) complain(`${test.fullName}: ${state}, and nothing may be skipped`);
    }
  }
  suites.sort((a, b) => b.ms - a.ms);
  if (passed + failed === 0) complain('no test ran');
  return { passed, failed, suites, complaints };
}

export type Count = Pick<Tally, 'passed' | 'failed'>;

/** The count that a run's output ends with. One that ended badly without a failure to show for it has one. */
export function lastCount(output: string, hasSucceeded: boolean): Count {
  const [, passed, failed] = /(\d+) passed, (\d+) failed\s*$/.exec(output) ?? ['', '0', '1'];
  return { passed: Number(passed), failed: Math.max(Number(failed), hasSucceeded ? 0 : 1) };
}

export const addUp = (counts: readonly Count[]): Count => ({
  passed: counts.reduce((sum, { passed }) => sum + passed, 0),
  failed: counts.reduce((sum, { failed }) => sum + failed, 0),
});
