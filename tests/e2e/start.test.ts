/** `npm start`: serves, and leaves nothing behind when npm is told to stop, by SIGTERM or by Ctrl-C. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { Publisher } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { root } from '../support/sources.ts';
import { stop, untilListening } from '../support/started-process.ts';
import { testSecret } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const mark = 'TURNOUT_START_TEST';

/** Processes that were started with our mark in their environment: npm, its shell, the gateway. */
function listMarked(value: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`${mark}=${value}`);
      } catch {
        // It has ended, or is a zombie that nobody has reaped yet.
        return false;
      }
    })
    .map(Number);
}

describe('npm start', () => {
  let npm: ChildProcess | undefined;
  let value = '';

  const start = (): ChildProcess => {
    value = `${process.pid}-${performance.now()}`;
    const env = { ...process.env, [mark]: value, TURNOUT_PORT: '0', NODE_ENV: 'production' };
    // A group of its own, as a terminal gives it: Ctrl-C goes to every process of the group.
    npm = spawn('npm', ['start'], { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    return npm;
  };

  afterEach(async () => {
    for (const pid of value === '' ? [] : listMarked(value)) process.kill(pid, 'SIGKILL');
    if (npm !== undefined) await stop(npm, 'SIGKILL');
  });

  it('says where it listens, answers there, and ends with npm at SIGTERM', async () => {
    const child = start();
    const url = await untilListening(child);
    expect((await fetch(new URL('/healthz', url))).status).toBe(200);
    expect(listMarked(value).length).toBeGreaterThanOrEqual(2);

    await stop(child);
    await until(() => listMarked(value).length, 'every process of npm start to be gone', 0);
    await expect(fetch(new URL('/healthz', url))).rejects.toThrow('fetch failed');
  });

  it('leaves no orphan after Ctrl-C', async () => {
    const child = start();
    await untilListening(child);
    if (child.pid === undefined) throw new Error('a child that listens has a pid');
    process.kill(-child.pid, 'SIGINT');
    await until(() => child.exitCode !== null || child.signalCode !== null, 'npm itself to end');
    await until(() => listMarked(value).length, 'every process of npm start to be gone', 0);
    expect(listMarked(value)).toEqual([]);
  });
});

describe('dist', () => {
  it('runs without the sources: the log in Redis, the page of the demo, the command line', async ({
    onTestFinished,
  }) => {
    const folder = await mkdtemp(join(tmpdir(), 'turnout-dist-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
    for (const name of ['node_modules', 'package.json']) await symlink(join(root, name), join(folder, name));
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const { PATH, HOME } = process.env;
    const serve = async (settings: Record<string, string>): Promise<string> => {
      const env = { PATH, HOME, TURNOUT_PORT: '0', TURNOUT_RUN_DIR: folder, ...settings };
      const child = spawn(process.execPath, ['dist/src/main.js'], {
        cwd: folder,
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      onTestFinished(() => stop(child, 'SIGKILL').then(() => undefined));
      return untilListening(child);
    };
    const [configured, unconfigured] = await Promise.all([
      serve({ TURNOUT_REDIS_URL: redis.url, TURNOUT_JWT_SECRET: testSecret }),
      serve({}),
    ]);
    const publisher = new Publisher(configured);
    await publisher.publish({ service: 'finance' });
    expect(publisher.head).toBe(1);
    const page = await (await fetch(unconfigured)).text();
    const script = /src="([^"]+\.js)"/.exec(page)?.[1] ?? '';
    expect((await fetch(new URL(script, `${unconfigured}/`))).status).toBe(200);
    const { stdout } = await promisify(execFile)(process.execPath, ['dist/src/cli/main.js', '--help'], {
      cwd: folder,
    });
    expect(stdout).toContain('turnout');
  });
});
