/**
 * `npm run mutate`: applies each mutation of tests/mutations/table.ts to a copy of the working tree, runs its test
 * there, and passes when the test that it names goes red. The unbroken copy must be green first, or a red would mean
 * nothing. `npm run mutate -- cursor` runs only those whose name contains the text. Ends with `N passed, N failed`.
 */
import { fileURLToPath } from 'node:url';
import { judgeMutations } from './support/mutation.ts';
import { mutations } from './mutations/table.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const chosen = mutations.filter(({ name }) => wanted.every((text) => name.includes(text)));

const verdicts = await judgeMutations(root, chosen, ({ mutation, isCaught, detail, ms }) => {
  const seconds = `${(ms / 1000).toFixed(1)} s`.padStart(8);
  console.log(`${isCaught ? 'caught' : 'FAILED'}  ${seconds}  ${mutation.name}\n                  ${detail}`);
});
if (verdicts.length === 0) console.log('no mutation has such a name');
const passed = verdicts.filter((verdict) => verdict.isCaught).length;
console.log(`\n${passed} passed, ${verdicts.length - passed} failed`);
process.exitCode = passed > 0 && passed === verdicts.length ? 0 : 1;
