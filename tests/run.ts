/**
 * The test command. Runs vitest with the arguments it was given (`npm test -- rollout` filters by file name), prints
 * the time each file took, and ends with one line, `N passed, N failed`. Exits 0 only when something ran and all of it
 * passed: a file that can't be collected, a failed hook, an unhandled error and a skipped test count as failed.
 */
import { relative } from 'node:path';
import { parseCLI, startVitest } from 'vitest/node';
import { type Tally, tallyRun } from './support/tally.ts';

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);

const summary = (tally: Tally): string => `${tally.passed} passed, ${tally.failed} failed`;

async function main(): Promise<Tally> {
  let tally: Tally = { passed: 0, failed: 1, suites: [], complaints: [] };
  const vitest = await startVitest('test', filter, {
    ...options,
    run: true,
    watch: false,
    reporters: [
      'default',
      {
        onTestRunEnd: (modules, unhandled) => {
          // `-t` leaves tests out because it was asked to; otherwise nothing may be skipped.
          tally = tallyRun(modules, unhandled, { allowsSkips: options.testNamePattern !== undefined });
        },
      },
    ],
  });
  await vitest.close();
  return tally;
}

try {
  const tally = await main();
  if (tally.suites.length > 0) {
    console.log('\nTime by suite');
    for (const { file, ms } of tally.suites)
      console.log(`${(ms / 1000).toFixed(1).padStart(8)} s  ${relative(process.cwd(), file)}`);
  }
  for (const complaint of tally.complaints) console.log(complaint);
  console.log(`\n${summary(tally)}`);
  process.exitCode = tally.failed === 0 && tally.passed > 0 ? 0 : 1;
} catch (thrown) {
  console.error(thrown);
  console.log('\n0 passed, 1 failed');
  process.exitCode = 1;
}
// A handle that a test left open must not keep the command from ending; what it printed is flushed first.
process.stdout.write('', () => process.exit());
