/**
 * Four projects. `unit` and `contract` run side by side on all cores; then `e2e-wide`, two files at a time: those start
 * nodes and mostly wait for them; then `e2e`, a file at a time: those measure nodes and storm them, which neighbours on two
 * cores would disturb.
 */
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

const isFullRun = process.env['TURNOUT_FULL'] === '1';
const exclude = [...configDefaults.exclude, 'dist/**', ...(isFullRun ? [] : ['**/*.long.test.ts'])];
const alone = ['tests/e2e/**/*.test.ts', 'tests/chaos/**/*.test.ts', 'tests/hostile/**/*.test.ts'];
const wideNames = [
  'acl',
  'acme',
  'acme-both',
  'acme-flap',
  'acme-nginx',
  'acme-shadow',
  'cli-doctor',
  'cli-rollout',
  'cli-streams',
  'docker',
  'emptied-redis',
  'hostile-tokens',
  'identity',
  'kill-bounce',
  'kill-early',
  'kill-fleet',
  'kill-fleet-gateways',
  'legacy-client',
  'legacy-hole',
  'legacy-log-away',
  'legacy-opaque',
  'legacy-personal',
  'legacy-post',
  'output',
  'past-retention',
  'poll-size',
  'protocol-poll',
  'protocol-ws',
  'protocol-ws-session',
  'quickstart',
  'redis-database',
  'redis-tls',
  'refusals',
  'start',
  'start-refused',
  'ticket-key',
  'two-nodes',
];
const wide = [...wideNames.map((name) => `tests/e2e/${name}.test.ts`), 'tests/chaos/bridge.test.ts'];
const maxWorkers = Math.max(2, availableParallelism());

const endToEnd = {
  globalSetup: ['tests/support/build.ts'],
  testTimeout: 120_000,
  hookTimeout: 60_000,
};

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
        // Checks of the code's shape, not of what it does: `npm run check` runs them, `npm test` doesn't.
        test: {
          name: 'house',
          include: ['tests/house/**/*.test.ts'],
          maxWorkers,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'contract',
          include: ['tests/**/*.test.ts'],
          exclude: [...exclude, 'tests/unit/**', 'tests/house/**', ...alone],
          maxWorkers,
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e-wide',
          include: wide,
          exclude,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...endToEnd,
          name: 'e2e',
          include: alone,
          exclude: [...exclude, ...wide],
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
