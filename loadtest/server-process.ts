/**
 * A server under load, in a process of its own on a core of its own: started, watched through /proc, ended by its id.
 * Nothing here knows what it serves.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { goAhead, processCpuMs } from './machine.ts';
import { isQuick } from './report.ts';

/** Servers run on core 0 and the load on core 1; in a quick run, on one core or without taskset the kernel places both. */
const canPin = !isQuick && availableParallelism() > 1 && hasTaskset();

/** With `--profile` on the command line a server leaves its CPU profile in loadtest/results. */
export const profileFlags: readonly string[] = process.argv.includes('--profile')
  ? ['--cpu-prof', '--cpu-prof-dir=loadtest/results']
  : [];

const startMs = 20_000;
const stopMs = 12_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// A bench that is interrupted takes its servers with it: a signal alone would not run the listener above.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['-p', String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Runs the load and a server ahead of whatever else the machine does. @returns false where this user may not */
export function goFirst(server: ServerProcess): boolean {
  return goAhead([process.pid, server.pid]);
}

/** Moves this process, the load, off the servers' core. @returns one line that says where things run. */
export function pinLoad(): string {
  if (!canPin) return 'not pinned: a quick run, one core, or no taskset';
  execFileSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
  return 'server on core 0, load on core 1';
}

export interface ServerOptions {
  /** A program in dist, without `.js`: `src/main` or `loadtest/servers/…`. */
  readonly entry: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeFlags?: readonly string[];
  /** False: the kernel places it, for several servers whose one core would be the figure. */
  readonly isPinned?: boolean;
  /** Core 0, or the load's for what stands behind the server that is measured. */
  readonly core?: 0 | 1;
}

export class ServerProcess {
  readonly url: string;
  readonly pid: number;
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
    this.pid = child.pid ?? 0;
  }

  /** @throws with what it printed, when it ends or stays silent instead of listening. */
  static async start({
    entry,
    env = {},
    nodeFlags = [],
    isPinned = canPin,
    core = 0,
  }: ServerOptions): Promise<ServerProcess> {
    const file = fileURLToPath(new URL(`../dist/${entry}.js`, import.meta.url));
    const command = [process.execPath, ...nodeFlags, file];
    // `env` runs the command as it is, in its own place, where nothing pins it.
    const pinned = isPinned ? ['taskset', '-c', String(core)] : ['env'];
    const child = spawn(pinned[0] ?? 'env', [...pinned.slice(1), ...command], {
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return new ServerProcess(child, await listeningUrl(child));
  }

  /** Processor time it has used since it started, all threads, milliseconds. */
  cpuMs(): number {
    return processCpuMs(this.pid);
  }

  rssBytes(): number {
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
    return Number(found?.[1] ?? 0) * 1024;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    const late = setTimeout(() => this.child.kill('SIGKILL'), stopMs);
    this.child.kill('SIGTERM');
    await ended;
    clearTimeout(late);
  }
}

export type StartServer = () => Promise<ServerProcess>;

/** One of loadtest/servers, by the name of its file. */
export function standIn(name: string, options: Omit<ServerOptions, 'entry'> = {}): StartServer {
  return () => ServerProcess.start({ entry: `loadtest/servers/${name}`, ...options });
}

async function listeningUrl(child: ChildProcess): Promise<string> {
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const giveUp = (why: string): void => {
      clearTimeout(late);
      child.kill('SIGKILL');
      reject(new Error(`${why}; it said:\n${said.join('\n')}`));
    };
    const late = setTimeout(() => giveUp('the server never said that it listens'), startMs);
    child.once('exit', (code) => giveUp(`the server ended with ${code}`));
    for (const stream of [child.stdout, child.stderr]) {
      // Read to the end: a full pipe would block the server.
      if (stream === null) continue;
      const lines = createInterface({ input: stream }).on('line', (line) => {
        if (said.length < 50) said.push(line);
        if (!line.includes('"msg":"listening"')) return;
        clearTimeout(late);
        resolve((JSON.parse(line) as { url: string }).url);
        // A line for each stream that closes is not the load's to take apart.
        lines.close();
        stream.resume();
      });
    }
  });
}
