/** Builds `dist` once before the first end-to-end test: those start `node dist/src/main.js`, as `npm start` does. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export default async function build(): Promise<void> {
  try {
    await run('npm', ['run', '--silent', 'build'], { timeout: 120_000 });
  } catch (thrown) {
    // The compiler tells its errors on standard output, which an ExecException's message leaves out.
    const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
    throw new Error(`npm run build failed:\n${stdout}${stderr}`, { cause: thrown });
  }
}
