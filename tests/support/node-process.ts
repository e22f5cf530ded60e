/** A gateway in a process of its own, as `npm start` runs it, on a free port. Ended by its id, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { call } from './http-client.ts';
import { testAdminToken, testSecret } from './token-maker.ts';
import { until } from './until.ts';

export type Settings = Readonly<Record<string, string | undefined>>;
export type LogLine = Readonly<Record<string, unknown>>;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const logLinesKept = 50_000;

// A folder of this process's own: `kill --local` must never reach another test's gateways.
const runFolder = mkdtempSync(join(tmpdir(), 'turnout-run-'));
process.on('exit', () => rmSync(runFolder, { recursive: true, force: true }));

/** What a test's gateway runs with unless the test says otherwise: everybody is on WebSocket. */
const defaults: Settings = {
  TURNOUT_PORT: '0',
  TURNOUT_JWT_SECRET: testSecret,
  TURNOUT_ADMIN_TOKEN: testAdminToken,
  TURNOUT_RUN_DIR: runFolder,
  REALTIME_STREAMING_V2: 'true',
  REALTIME_ROLLOUT_PERCENT: '100',
};

export class Gateway {
  readonly url: string;
  readonly pid: number;
  readonly logs: LogLine[];
  /** Its exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(child: ChildProcess, url: string, logs: LogLine[], exited: Promise<number | null>) {
    this.child = child;
    this.url = url;
    this.pid = child.pid ?? 0;
    this.logs = logs;
    this.exited = exited;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Resident memory now, bytes, as the kernel counts it. */
  residentBytes(): number {
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
    return Number(found?.[1] ?? 0) * 1024;
  }

  /** SIGTERM, then SIGKILL past `withinMs`. */
  async stop(withinMs = 12_000): Promise<number | null> {
    if (!this.isRunning) return this.exited;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), withinMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** For a test that is over: nothing is left to be drained. */
  async kill(): Promise<void> {
    if (this.isRunning) this.child.kill('SIGKILL');
    await this.exited;
  }
}

export interface StartOptions {
  /** `built`: dist, as in production. `source`: through tsx, for suites that run without a build. */
  readonly from?: 'built' | 'source';
}

/** Starts a gateway; `settings` with the value undefined take a default away. @throws when it ends before it listens. */
export async function startGateway(settings: Settings = {}, options: StartOptions = {}): Promise<Gateway> {
  const entry = options.from === 'source' ? ['--import', 'tsx', 'src/main.ts'] : ['dist/src/main.js'];
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
  for (const [name, value] of Object.entries({ ...defaults, ...settings }))
    if (value !== undefined) env[name] = value;
  const child = spawn(process.execPath, entry, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const logs: LogLine[] = [];
  const heard: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      const parsed = parseLine(line);
      if (parsed === undefined) heard.push(line);
      else if (logs.push(parsed) > logLinesKept) logs.splice(0, logLinesKept / 10);
    });
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  const listening = (): LogLine | undefined => logs.find((line) => line['msg'] === 'listening');
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const said = (): string => [...logs.map((line) => JSON.stringify(line)), ...heard].slice(-20).join('\n');
  try {
    await until(
      () => listening() !== undefined || isOver(),
      () => `"listening"; it said:\n${said()}`,
    );
  } catch (late) {
    child.kill('SIGKILL');
    throw late;
  }
  const line = listening();
  if (line === undefined) throw new Error(`the gateway ended with ${child.exitCode}:\n${said()}`);
  return new Gateway(child, String(line['url']), logs, exited);
}

/** The same, once it has read the rules: it listens before that, and until then everybody is on long-poll. */
export async function startReadyGateway(settings: Settings): Promise<Gateway> {
  const gateway = await startGateway(settings);
  const hasRules = async (): Promise<boolean> =>
    (await call<{ rules: { up: boolean } }>(`${gateway.url}/readyz`)).body.rules.up;
  await until(hasRules, 'the node to have its rules');
  return gateway;
}

function parseLine(line: string): LogLine | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? (parsed as LogLine) : undefined;
  } catch {
    return undefined;
  }
}
