/**
 * Real Redis servers that a test starts: on a free port, in a folder of their own, ended by their pid. One object is one
 * server with one data folder; it can be killed, frozen, brought back with its data, without, or with older data.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ensureCommand } from './debian.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface RedisServerOptions {
  /** Every write is on disk before it is acknowledged. */
  readonly appendOnly?: boolean;
  /** Bytes; writes are refused past it (noeviction). */
  readonly maxMemory?: number;
  readonly replicaOf?: { readonly port: number };
  /** More lines of redis.conf, as arguments. */
  readonly config?: readonly string[];
  /** Runs it as a Sentinel with this file, which it rewrites. */
  readonly sentinelFile?: string;
  /** A fixed port, where something else has to know it first. */
  readonly port?: number;
}

export class RedisServer {
  readonly port: number;
  readonly url: string;
  /** For what a test does to the data: its own connection, made anew after each restart. */
  client: Redis;
  private readonly options: RedisServerOptions;
  private readonly folder: string;
  private child: ChildProcess | undefined;
  private readonly snapshots: string[] = [];

  private constructor(port: number, folder: string, options: RedisServerOptions) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.folder = folder;
    this.options = options;
    this.client = this.connect();
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const port = options.port ?? (await freePort());
    const server = new RedisServer(port, await mkdtemp(join(tmpdir(), 'turnout-redis-')), options);
    await server.launch();
    return server;
  }

  /** `kill -9`: nothing is saved but what the append-only file has. */
  async kill(): Promise<void> {
    this.client.disconnect();
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Comes back with the data that its files hold. */
  async restart(): Promise<void> {
    await this.kill();
    await this.launch();
  }

  /** Comes back with nothing. */
  async restartEmpty(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true });
    await mkdir(this.folder);
    await this.launch();
  }

  /** Keeps a copy of what is stored now, for `restartRewound`. */
  async snapshot(): Promise<void> {
    await this.client.config('SET', 'save', '');
    await this.client.save();
    const copy = await mkdtemp(join(tmpdir(), 'turnout-redis-copy-'));
    this.snapshots.push(copy);
    await cp(this.folder, copy, { recursive: true });
  }

  /** Comes back with the newest `snapshot`: what came later is lost. */
  async restartRewound(): Promise<void> {
    const copy = this.snapshots.at(-1);
    if (copy === undefined) throw new Error('there is no snapshot to go back to');
    await this.kill();
    await rm(this.folder, { recursive: true });
    await cp(copy, this.folder, { recursive: true });
    await this.launch();
  }

  /** SIGSTOP: it accepts connections, by its kernel, and answers nothing. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  /** Ends it and removes its files. */
  async stop(): Promise<void> {
    this.thaw();
    await this.kill();
    for (const folder of [this.folder, ...this.snapshots.splice(0)])
      await rm(folder, { recursive: true, force: true });
  }

  private async launch(): Promise<void> {
    const program = await ensureCommand('redis-server', 'redis-server');
    const { appendOnly, maxMemory, replicaOf, sentinelFile, config = [] } = this.options;
    const asSentinel = [
      sentinelFile ?? '',
      ...`--sentinel --port ${this.port} --bind 127.0.0.1`.split(' '),
      ...config,
    ];
    const asServer = [
      ...`--port ${this.port} --bind 127.0.0.1 --repl-diskless-sync-delay 0 --save`.split(' '),
      '',
      '--dir',
      this.folder,
      ...(appendOnly === true ? ['--appendonly', 'yes', '--appendfsync', 'always'] : []),
      ...(maxMemory === undefined ? [] : ['--maxmemory', String(maxMemory)]),
      ...(replicaOf === undefined ? [] : ['--replicaof', '127.0.0.1', String(replicaOf.port)]),
      ...config,
    ];
    const args = sentinelFile === undefined ? asServer : asSentinel;
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    this.child = child;
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => {
        said = (said + text.toString()).slice(-4000);
      });
    child.once('exit', () => running.delete(child));
    this.client.disconnect();
    this.client = this.connect();
    const { client } = this;
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(`redis-server ended:\n${said}`);
        const answer = await client.ping().catch(() => '');
        return answer === 'PONG';
      },
      () => `redis-server on port ${this.port}; it said:\n${said}`,
    );
  }

  private connect(): Redis {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      lazyConnect: true,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 20,
    });
    // What a test does not wait for is not its failure.
    client.on('error', () => undefined);
    return client;
  }
}
