/**
 * Programs that a test needs and npm doesn't bring. A missing one is fetched from Debian when we are root; else the test
 * fails with one line that says what to install. It never skips. tests/support/programs.ts fetches what a run needs before
 * its first test, since an installation takes longer than a test's hooks may.
 */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const attempts = 4;
const installMs = 600_000;

/** @returns the command's path, or undefined where PATH doesn't have it. */
export async function findCommand(command: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, command);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

async function aptGet(...args: string[]): Promise<void> {
  // Two tests may want to install at once. apt waits for another's lock on the packages, if told so, but never for the one
  // on its lists: of two updates one fails at once. `flock` is on every Debian.
  const turn = [join(tmpdir(), 'turnout-apt.lock'), 'apt-get', '-o', 'DPkg::Lock::Timeout=120'];
  await run('flock', [...turn, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: installMs,
  });
}

/**
 * Makes sure that `command` can be run.
 * @param debianPackage the package that has it
 * @returns its path
 * @throws one line that says what to install
 */
export function ensureCommand(command: string, debianPackage: string): Promise<string> {
  return ensureFromDebian(command, debianPackage, () => findCommand(command));
}

/**
 * Makes sure that there is what `find` looks for, installing the package where it isn't.
 * @param what its name, for who reads the failure
 * @returns what `find` found
 * @throws one line that says what to install
 */
export async function ensureFromDebian(
  what: string,
  debianPackage: string,
  find: () => Promise<string | undefined>,
): Promise<string> {
  const found = await find();
  if (found !== undefined) return found;
  await installFromDebian([debianPackage], what);
  const installed = await find();
  if (installed === undefined) throw new Error(`the package ${debianPackage} does not bring ${what}`);
  return installed;
}

/**
 * Installs packages in one call of apt-get, with retries.
 * @param what what is missing, for who reads the failure
 * @throws one line that says what to install
 */
export async function installFromDebian(packages: readonly string[], what: string): Promise<void> {
  const advice = `${what} is missing: install it with \`apt-get install ${packages.join(' ')}\``;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || (await findCommand('apt-get')) === undefined) throw new Error(advice);
  for (let attempt = 1; ; attempt += 1)
    try {
      await aptGet('update');
      await aptGet('install', '--yes', '--no-install-recommends', ...packages);
      return;
    } catch (failure) {
      if (attempt === attempts) throw new Error(`${advice} (fetching it failed)`, { cause: failure });
      await pause(2000 * attempt);
    }
}
