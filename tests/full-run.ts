/**
 * `npm run test:full`: the full tier, then the mutations. With arguments only the tests that they choose, as `npm test`
 * takes them (`npm run test:full -- interop`). Ends with `N passed, N failed` over both.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { addUp, type Count, lastCount } from './support/tally.ts';

const chosen = process.argv.slice(2);

/** What it says goes on to our own output as it comes. */
function run(script: string, args: readonly string[]): Promise<Count> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], {
    env: { ...process.env, TURNOUT_FULL: '1' },
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  let tail = '';
  child.stdout.on('data', (text: Buffer) => {
    process.stdout.write(text);
    tail = (tail + text.toString()).slice(-1000);
  });
  return new Promise((resolve) => {
    child.once('close', (code) => resolve(lastCount(tail, code === 0)));
  });
}

const tests = await run('run.ts', chosen);
const mutations = chosen.length > 0 ? undefined : await run('mutate.ts', []);
const { passed, failed } = addUp([tests, ...(mutations === undefined ? [] : [mutations])]);
if (mutations !== undefined) console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
