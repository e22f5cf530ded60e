/** Guards of log: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

const damaged = 'tests/correctness/damaged-org';

export const logMutations: readonly Mutation[] = [
  {
    name: "correctness: one org's fault marks the log as down for all",
    file: 'src/log/redis-health.ts',
    find: "if (of === 'server') this.down(word);",
    replace: 'this.down(word);',
    test: damaged,
    expectRed: 'a stream of another type: the log stays up',
  },
  {
    name: 'correctness: one append that memory was short for marks the log as down',
    file: 'src/log/redis-faults.ts',
    find: "if (word === 'OOM') return { word, of: 'unsure' };",
    replace: "if (word === 'OOM') return { word, of: 'server' };",
    test: damaged,
    expectRed: 'leaves the log up where memory was short for one large append alone',
  },
  {
    name: 'correctness: an entry that no Turnout wrote is handed to readers',
    file: 'src/log/redis-wire.ts',
    find: 'if (!isNamed || !isWhole || (to !== null && !isTexts(to)))',
    replace: 'if (to !== null && !isTexts(to) && !isWhole && !isNamed)',
    test: damaged,
    expectRed: 'an entry of garbage: the log stays up',
  },
  {
    name: 'correctness: a head that fails is asked for ten times a second',
    file: 'src/log/redis-heads.ts',
    find: 'clock.after(backoffMs(org.failures, backoff, clock), () => {',
    replace: 'clock.after(backoffMs(0, { firstMs: 1, maxMs: 1 }, clock), () => {',
    test: damaged,
    expectRed: 'compares a head that fails less and less often',
  },
];
