/** The test command itself: it ends with its count, and nothing but plain success is success. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/sources.ts';
import { addUp, lastCount } from '../support/tally.ts';

/** A project of its own for each case, so that no test of ours is run by this one. */
const files = {
  'good.test.ts': "import { it } from 'vitest'; it('holds', () => {}); it('holds too', () => {});",
  'bad.test.ts': "import { it } from 'vitest'; it('breaks', () => { throw new Error('broken'); });",
  'skipped.test.ts': "import { it } from 'vitest'; it('holds', () => {}); it.skip('is left out', () => {});",
  'broken.test.ts': "import './nowhere.ts';",
  'hook.test.ts':
    "import { beforeAll, describe, it } from 'vitest'; describe('a suite', () => { beforeAll(() => { throw new Error('broken'); }); it('never runs', () => {}); });",
  'unhandled.test.ts':
    "import { it } from 'vitest'; it('looks fine', async () => { void Promise.reject(new Error('nobody waits for it')); await new Promise((done) => setTimeout(done, 50)); });",
  'tier.test.ts':
    "import { expect, it } from 'vitest'; it('is the full tier', () => expect(process.env.TURNOUT_FULL).toBe('1'));",
} as const;

let scratch = '';

interface Outcome {
  readonly exitCode: number;
  readonly lastLine: string;
  readonly output: string;
}

const runTests = (...args: string[]): Promise<Outcome> => runScript('tests/run.ts', ...args);

const runScript = (script: string, ...args: string[]): Promise<Outcome> => {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_ENV$|TEST$|npm_)/.test(name)),
  );
  const command = ['--import', 'tsx', join(root, script), ...args];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, command, { cwd: scratch, env }, (_error, stdout) => {
      const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
      resolve({ exitCode: child.exitCode ?? -1, lastLine, output: stdout });
    });
  });
};

describe('the test command', { timeout: 60_000 }, () => {
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'turnout-run-'));
    await mkdir(join(scratch, 'tests'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(scratch, 'tests', name), text);
    await writeFile(join(scratch, 'package.json'), '{"type":"module"}');
    await symlink(join(root, 'node_modules'), join(scratch, 'node_modules'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  it('succeeds when every test passes, and says how long each file took', async () => {
    const { exitCode, lastLine, output } = await runTests('good');
    expect([exitCode, lastLine]).toEqual([0, '2 passed, 0 failed']);
    expect(output).toMatch(/\d+\.\d s {2}tests\/good\.test\.ts/);
  });

  it('counts each thing that is not plain success as failed', async () => {
    // bad 1, skipped 1 beside 1 that holds, broken 1, unhandled 1 beside 1 that looks fine, hook 1 and what it kept back.
    const { exitCode, lastLine } = await runTests('bad', 'skipped', 'broken', 'unhandled', 'hook');
    expect([exitCode, lastLine]).toEqual([1, '2 passed, 6 failed']);
  });

  it.each([
    ['a skipped test alone', 'skipped', '1 passed, 1 failed'],
    ['a run without tests', 'nothing-has-this-name', '0 passed, 1 failed'],
  ])('fails for %s', async (_what, filter, expected) => {
    const { exitCode, lastLine } = await runTests(filter);
    expect([exitCode, lastLine]).toEqual([1, expected]);
  });

  it('leaves tests out where it was asked to by name', async () => {
    const { exitCode, lastLine } = await runTests('good', '-t', 'too');
    expect([exitCode, lastLine]).toEqual([0, '1 passed, 0 failed']);
  });

  it('runs the tests it was told to in the full tier, and no mutations with them', async () => {
    const { exitCode, lastLine, output } = await runScript('tests/full-run.ts', 'tier', 'bad');
    expect([exitCode, lastLine]).toEqual([1, '1 passed, 1 failed']);
    expect(output).not.toContain('caught');
  });
});

describe('the count of a full run', () => {
  it('is the last line of each part, and a part that ends without one has failed', () => {
    expect(lastCount('1 passed, 9 failed\n\n3 passed, 0 failed\n', true)).toEqual({ passed: 3, failed: 0 });
    expect(lastCount('3 passed, 0 failed\nkilled', false)).toEqual({ passed: 0, failed: 1 });
    expect(lastCount('3 passed, 0 failed\n', false)).toEqual({ passed: 3, failed: 1 });
    expect(
      addUp([
        { passed: 3, failed: 0 },
        { passed: 2, failed: 1 },
      ]),
    ).toEqual({ passed: 5, failed: 1 });
  });
});
