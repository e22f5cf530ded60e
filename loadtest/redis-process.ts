/** The Redis of a run's own: `redis-server` from the PATH on a free port, its files in a folder that goes with it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RedisProcess {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const listensWithinMs = 10_000;
const knockEveryMs = 50;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Listens once this resolves. @param isDurable appends are written to disk every second; else nothing is kept. */
export async function startRedis({ isDurable = false } = {}): Promise<RedisProcess> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'turnout-load-'));
  const kept = ['--save', '', '--appendonly', isDurable ? 'yes' : 'no'];
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...kept];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  // What it keeps is worth nothing: asked politely, it would first save it.
  const end = (): void => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', end);
  let failure: unknown;
  child.once('error', (error) => {
    failure = error;
  });
  const deadlineMs = performance.now() + listensWithinMs;
  while (!(await isListening(port))) {
    if (failure !== undefined || child.exitCode !== null || performance.now() > deadlineMs)
      throw new Error('redis-server did not start: apt-get install redis-server', { cause: failure });
    await sleep(knockEveryMs);
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    async stop() {
      process.off('exit', end);
      const ended = once(child, 'exit');
      end();
      await ended;
      // It may have written until it was gone.
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
