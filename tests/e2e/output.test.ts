/** Whoever reads a node's output may stall or die: the node serves on, and ends when it is told to. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { root } from '../support/sources.ts';
import { listeningUrl, stop } from '../support/started-process.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, testSecret } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const isTold = (url: string | undefined): boolean => url !== undefined;

const enders: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of enders.splice(0).toReversed()) await end();
});

/** A node whose output is a pipe of the kernel's, which is read only as far as its first lines. */
async function start() {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-output-'));
  enders.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'out');
  execFileSync('mkfifo', [path]);
  // Opened for both, so that neither end waits for the other.
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const env = {
    ...process.env,
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
  };
  const stdio = ['ignore', writer, 'ignore'] as const;
  const child = spawn(process.execPath, ['dist/src/main.js'], { cwd: root, env, stdio: [...stdio] });
  closeSync(writer);
  enders.push(() => stop(child, 'SIGKILL'));

  const bytes = Buffer.alloc(4096);
  let text = '';
  // The whole line: what is read may end in its middle.
  const listening = (): string | undefined => text.split('\n').slice(0, -1).map(listeningUrl).find(isTold);
  await until(() => {
    try {
      text += bytes.toString('utf8', 0, readSync(reader, bytes));
    } catch {
      // Nothing there yet: the pipe is not waited for.
    }
    return listening() !== undefined;
  }, 'the node to listen');
  const url = listening() ?? '';
  return { child, url, close: () => closeSync(reader) };
}

/** Each refused stream is one line of the log. */
async function makeNoise(url: string, lines: number): Promise<void> {
  const expired = await makeToken({ sub: 'ann', exp: 1 });
  for (let made = 0; made < lines; made += 50)
    await Promise.all(
      Array.from({ length: 50 }, () => new StreamClient(url, { token: expired }).nextClose()),
    );
}

it('serves on when the reader of its output stalls', async () => {
  const { child, url, close } = await start();
  // A pipe holds 64 KiB; this is several times as much.
  await makeNoise(url, 1500);
  expect((await fetch(new URL('/healthz', url))).status).toBe(200);
  close();
  child.kill('SIGTERM');
  await until(
    () => child.exitCode,
    'its end',
    (seen) => seen !== null,
  );
});

it('serves on when the reader of its output is gone, and ends at SIGTERM', async () => {
  const { child, url, close } = await start();
  close();
  await makeNoise(url, 200);
  expect((await fetch(new URL('/healthz', url))).status).toBe(200);
  child.kill('SIGTERM');
  await until(
    () => child.exitCode,
    'its end',
    (seen) => seen !== null,
  );
  expect(child.exitCode).toBe(0);
});
