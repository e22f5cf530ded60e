/**
 * Three projects. `unit` and `contract` run side by side on all cores; then `e2e`, a file at a time: its files start
 * nodes, measure them and count what they lose, which neighbours on two cores would disturb.
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

const isFullRun = process.env['TURNOUT_FULL'] === '1';
const exclude = [...configDefaults.exclude, 'dist/**', ...(isFullRun ? [] : ['**/*.long.test.ts'])];
const alone = ['tests/e2e/**/*.test.ts', 'tests/chaos/**/*.test.ts', 'tests/hostile/**/*.test.ts'];
const maxWorkers = Math.max(2, availableParallelism());

export default defineConfig({
  test: {
    allowOnly: false,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['tests/unit/**/*.test.ts'],
          exclude,
          maxWorkers,
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'contract',
          include: ['tests/**/*.test.ts'],
          exclude: [...exclude, 'tests/unit/**', ...alone],
          maxWorkers,
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: alone,
          exclude,
          globalSetup: ['tests/support/build.ts'],
          fileParallelism: false,
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
