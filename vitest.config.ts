/**
 * Four projects. `unit` and `contract` run side by side on all cores; then `e2e-wide`, three files at a time: those start
 * nodes and mostly wait for them; then `e2e`, a file at a time: those measure nodes and storm them, which neighbours on two
 * cores would disturb. Each test's timeout is longer than the deadline of its waits (tests/support/until.ts).
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

const isFullRun = process.env['TURNOUT_FULL'] === '1';
const exclude = [...configDefaults.exclude, 'dist/**', ...(isFullRun ? [] : ['**/*.long.test.ts'])];
const endToEndFiles = ['tests/e2e/**/*.test.ts', 'tests/chaos/**/*.test.ts', 'tests/hostile/**/*.test.ts'];
const alone = ['tests/e2e/{drain,heart,moves,slow-readers}.test.ts', 'tests/{e2e,chaos}/*.long.test.ts'];

const programs = 'tests/support/programs.ts';
// A worker loads Turnout once for all its files: no test leaves anything in a module behind.
const isolate = false;
const sideBySide = {
  globalSetup: [programs],
  isolate,
  maxWorkers: Math.max(2, availableParallelism()),
  testTimeout: 60_000,
  hookTimeout: 60_000,
  sequence: { groupOrder: 0 },
};
const endToEnd = {
  globalSetup: [programs, 'tests/support/build.ts'],
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    allowOnly: false,
    projects: [
      {
        test: {
          ...sideBySide,
          name: 'unit',
          include: ['tests/unit/**/*.test.ts'],
          exclude,
        },
      },
      {
        // Checks of the code's shape, not of what it does: `npm run check` runs them, `npm test` doesn't.
        test: {
          ...sideBySide,
          name: 'house',
          include: ['tests/house/**/*.test.ts'],
        },
      },
      {
        test: {
          ...sideBySide,
          name: 'contract',
          include: ['tests/**/*.test.ts'],
          exclude: [...exclude, 'tests/unit/**', 'tests/house/**', ...endToEndFiles],
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e-wide',
          include: endToEndFiles,
          exclude: [...exclude, ...alone],
          isolate,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e',
          include: alone,
          exclude,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
