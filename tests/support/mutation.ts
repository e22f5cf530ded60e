/** Runs tests against broken copies of the project. Never touches the working tree itself. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Mutation } from '../mutations/mutation.ts';

const execute = promisify(execFile);
const testMs = 300_000;

export interface Verdict {
  readonly mutation: Mutation;
  /** True when the named test was green without the mutation and red with it. */
  readonly isCaught: boolean;
  readonly detail: string;
  readonly ms: number;
}

const reportSchema = z.object({
  testResults: z.array(
    z.object({ assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })) }),
  ),
});

interface Outcome {
  readonly green: readonly string[];
  readonly red: readonly string[];
}

/** The working tree as git would commit it, uncommitted files included, with this tree's node_modules. */
async function copyTree(root: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'turnout-mutate-'));
  const { stdout } = await execute('git', ['ls-files', '-z', '-co', '--exclude-standard'], { cwd: root });
  for (const path of stdout.split('\0')) {
    // A file that was deleted and not yet committed is still listed.
    if (path === '' || !existsSync(join(root, path))) continue;
    await mkdir(dirname(join(copy, path)), { recursive: true });
    await cp(join(root, path), join(copy, path));
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

async function runTests(copy: string, filter: string): Promise<Outcome> {
  const report = join(copy, 'mutation-report.json');
  await rm(report, { force: true });
  const vitest = join(copy, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', filter, '--reporter=json', `--outputFile=${report}`];
  // A red run exits with 1: what counts is the report, and a run without one shows nothing red.
  await execute(process.execPath, args, { cwd: copy, timeout: testMs }).catch(() => undefined);
  if (!existsSync(report)) return { green: [], red: [] };
  const { testResults } = reportSchema.parse(JSON.parse(await readFile(report, 'utf8')));
  const tests = testResults.flatMap((file) => file.assertionResults);
  const withStatus = (status: string): string[] =>
    tests.filter((test) => test.status === status).map((test) => test.fullName);
  return { green: withStatus('passed'), red: withStatus('failed') };
}

/** @throws where the text isn't in the file exactly once. */
export function mutate(text: string, { file, find, replace }: Mutation): string {
  const count = find === '' ? 0 : text.split(find).length - 1;
  if (count !== 1) throw new Error(`${file} has the text to find ${count} times, not once: ${find}`);
  return text.replace(find, () => replace);
}

async function judge(copy: string, mutation: Mutation, control: Outcome): Promise<[boolean, string]> {
  const { file, test, expectRed } = mutation;
  const isNamed = (fullName: string): boolean => fullName.includes(expectRed);
  if (!control.green.some(isNamed))
    return [false, `no green test '${expectRed}' in ${test} before the mutation`];
  const path = join(copy, file);
  if (!existsSync(path)) return [false, `${file} does not exist`];
  const intact = await readFile(path, 'utf8');
  try {
    await writeFile(path, mutate(intact, mutation));
    const { green, red } = await runTests(copy, test);
    const caught = red.find(isNamed);
    if (caught !== undefined) return [true, `red: ${caught}`];
    if (green.length + red.length === 0) return [false, `${test}: nothing ran once the code was broken`];
    return [false, `'${expectRed}' stayed green; red instead: ${red.join(', ') || 'nothing'}`];
  } catch (thrown) {
    return [false, thrown instanceof Error ? thrown.message : String(thrown)];
  } finally {
    await writeFile(path, intact);
  }
}

/** Judges one after the other, and tells each verdict as it falls. */
export async function judgeMutations(
  root: string,
  mutations: readonly Mutation[],
  tell: (verdict: Verdict) => void,
): Promise<Verdict[]> {
  const copy = await copyTree(root);
  const controls = new Map<string, Outcome>();
  const verdicts: Verdict[] = [];
  try {
    for (const mutation of mutations) {
      const startMs = performance.now();
      const control = controls.get(mutation.test) ?? (await runTests(copy, mutation.test));
      controls.set(mutation.test, control);
      const [isCaught, detail] = await judge(copy, mutation, control);
      const verdict = { mutation, isCaught, detail, ms: performance.now() - startMs };
      verdicts.push(verdict);
      tell(verdict);
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
  return verdicts;
}
