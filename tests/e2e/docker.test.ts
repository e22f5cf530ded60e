/**
 * The image's build, without Docker: each stage gets an empty folder, what COPY names is copied there from what git
 * would commit, and each RUN line is carried out. Then the last stage's command must serve, and its health check agree.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDockerfile, parseDockerignore, type Stage, type Step } from '../support/dockerfile.ts';
import { freePort } from '../support/ports.ts';
import { root } from '../support/sources.ts';
import { stop, untilListening } from '../support/started-process.ts';

const execute = promisify(execFile);

/** npm's own variables describe this test run, not the image; only where it fetches from is kept. */
const environment: Record<string, string> = {
  npm_config_prefer_offline: 'true',
  npm_config_fetch_retries: '5',
  npm_config_audit: 'false',
};
for (const [name, value] of Object.entries(process.env)) {
  const isOfThisRun = /^(npm_|NODE_|VITEST|TURNOUT_|REALTIME_|WS_|TEST$)/.test(name);
  const isWhereFrom = /^npm_config_(registry|cache|userconfig)$/.test(name);
  if (value !== undefined && (!isOfThisRun || isWhereFrom)) environment[name] = value;
}

let scratch = '';
const stages = parseDockerfile(await readFile(join(root, 'Dockerfile'), 'utf8'));
const variables = new Map<string, Record<string, string>>();

const folderOf = (stage: string): string => join(scratch, stage);

async function listContext(): Promise<string[]> {
  const ignored = parseDockerignore(await readFile(join(root, '.dockerignore'), 'utf8'));
  const { stdout } = await execute('git', ['ls-files', '-z', '-co', '--exclude-standard'], { cwd: root });
  const isIgnored = (path: string): boolean =>
    ignored.some((name) => path === name || path.startsWith(`${name}/`));
  return stdout.split('\0').filter((path) => path !== '' && !isIgnored(path) && existsSync(join(root, path)));
}

async function copyFromContext(source: string, target: string, isFolderTarget: boolean): Promise<void> {
  const context = await listContext();
  const below = source === '.' ? context : context.filter((path) => path.startsWith(`${source}/`));
  if (context.includes(source)) {
    await cp(join(root, source), isFolderTarget ? join(target, posix.basename(source)) : target);
    return;
  }
  if (below.length === 0) throw new Error(`COPY ${source}: git has no such file`);
  for (const path of below) {
    const to = join(target, posix.relative(source, path));
    await mkdir(dirname(to), { recursive: true });
    await cp(join(root, path), to);
  }
}

/** A folder's content goes into the target. By hard links: nothing writes to an earlier stage any more. */
async function copyFromStage(source: string, target: string, isFolderTarget: boolean): Promise<void> {
  const isFolder = (await stat(source)).isDirectory();
  await mkdir(isFolder || isFolderTarget ? target : dirname(target), { recursive: true });
  await execute('cp', ['-al', isFolder ? `${source}/.` : source, target]);
}

async function carryOut(stage: Stage): Promise<void> {
  const own: Record<string, string> = {};
  variables.set(stage.name, own);
  let workdir = '/';
  const inStage = (path: string): string => join(folderOf(stage.name), posix.resolve(workdir, path));
  await mkdir(inStage('/'), { recursive: true });

  const carryOutStep = async (step: Step): Promise<void> => {
    switch (step.kind) {
      case 'workdir':
        workdir = posix.resolve(workdir, step.path);
        await mkdir(inStage('.'), { recursive: true });
        return;
      case 'env':
        own[step.name] = step.value;
        return;
      case 'user':
        return;
      case 'run':
        await execute('sh', ['-c', step.command], { cwd: inStage('.'), env: { ...environment, ...own } });
        return;
      case 'copy':
        for (const source of step.sources) {
          const { from, target } = step;
          if (from === undefined) await copyFromContext(source, inStage(target), target.endsWith('/'));
          else await copyFromStage(join(folderOf(from), source), inStage(target), target.endsWith('/'));
        }
    }
  };
  for (const step of stage.steps) await carryOutStep(step);
}

describe('the image', () => {
  const last = stages.at(-1);
  let gateway: ChildProcess | undefined;

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'turnout-image-'));
  });
  afterAll(async () => {
    if (gateway !== undefined) await stop(gateway);
    await rm(scratch, { recursive: true, force: true });
  });

  it('builds from what git has, each stage in an empty folder', async () => {
    for (const stage of stages) await carryOut(stage);
    const app = join(folderOf(last?.name ?? ''), 'app');
    expect(existsSync(join(app, 'dist/src/config/config.js'))).toBe(true);
    expect(existsSync(join(app, 'node_modules/hono'))).toBe(true);
  }, 300_000);

  it('holds production dependencies only', () => {
    const app = join(folderOf(last?.name ?? ''), 'app');
    for (const tool of ['typescript', 'vitest', 'oxlint'])
      expect(existsSync(join(app, 'node_modules', tool))).toBe(false);
  });

  it('holds what was built, and none of our sources', async () => {
    const app = join(folderOf(last?.name ?? ''), 'app');
    const top = await readdir(app);
    expect(top.toSorted()).toEqual(['dist', 'node_modules', 'package.json']);
    const built = await readdir(join(app, 'dist'), { recursive: true });
    expect(built).toContain('src/main.js');
    expect(built.filter((path) => /\.tsx?$/.test(path))).toEqual([]);
  });

  it('holds the command as a program that anybody may run', async () => {
    const { bin } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      bin: { turnout: string };
    };
    const { mode } = await stat(join(folderOf(last?.name ?? ''), 'app', bin.turnout));
    expect((mode & 0o111).toString(8)).toBe('111');
  });

  it('serves, is found healthy, and ends at SIGTERM', async () => {
    const [command = '', ...args] = last?.command ?? [];
    const [checker = '', ...checkArgs] = last?.healthcheck ?? [];
    const port = String(await freePort());
    const env = {
      ...environment,
      ...variables.get(last?.name ?? ''),
      TURNOUT_PORT: port,
      TURNOUT_JWT_SECRET: 'a-secret-for-this-test-only',
    };
    const cwd = join(folderOf(last?.name ?? ''), 'app');
    await expect(execute(checker, checkArgs, { env, cwd })).rejects.toThrow('Command failed');
    gateway = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'inherit'] });
    await untilListening(gateway);
    await execute(checker, checkArgs, { env, cwd });
    expect(await stop(gateway)).toBe(0);
  });
});
