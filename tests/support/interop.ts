/** Clients of the stream that others wrote: Debian's python3-websockets, and `websocket` from npm. */
import { execFile, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { ServerFrame } from '../../schema/frames.ts';
import { ensureFromDebian } from './debian.ts';
import { root } from './sources.ts';
import type { Close } from './stream-client.ts';

const run = promisify(execFile);

/** What a client has seen so far, as it came. */
export interface Seen {
  extensions?: string;
  readonly frames: ServerFrame[];
  close?: Close;
  /** What it said that nobody asked for: a fault of its own, or of ours. */
  readonly complaints: string[];
}

export interface InteropClient {
  readonly seen: Seen;
  /** Ends it at once, for a test that is over. */
  stop(): void;
}

export interface InteropOptions {
  /** `ws://…`, the token in its query. */
  readonly url: string;
  readonly first: object;
  readonly compress: boolean;
}

const nothing = (): Seen => ({ frames: [], complaints: [] });

/** Debian's own interpreter, or another that has the module. @throws one line that says what to install */
function ensurePython(): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    for (const python of ['/usr/bin/python3', 'python3']) {
      const hasIt = await run(python, ['-c', 'import websockets']).then(
        () => true,
        () => false,
      );
      if (hasIt) return python;
    }
    return undefined;
  };
  return ensureFromDebian('python3 with websockets', 'python3-websockets', find);
}

export async function openPythonClient({ url, first, compress }: InteropOptions): Promise<InteropClient> {
  const script = join(root, 'tests/support/interop-client.py');
  const form = compress ? 'deflate' : 'plain';
  const child = spawn(await ensurePython(), [script, url, JSON.stringify(first), form]);
  const seen = nothing();
  createInterface({ input: child.stderr }).on('line', (line) => seen.complaints.push(line));
  createInterface({ input: child.stdout }).on('line', (line) => {
    // The script's own lines.
    const told = JSON.parse(line) as { extensions?: string; frame?: ServerFrame; close?: Close };
    if (told.extensions !== undefined) seen.extensions = told.extensions;
    if (told.frame !== undefined) seen.frames.push(told.frame);
    if (told.close !== undefined) seen.close = told.close;
  });
  return { seen, stop: () => void child.kill('SIGKILL') };
}

// Not among our dependencies: it brings native modules that `ws` would use too, and that must be compiled on some machines.
const npmPackage = 'websocket@1.0.35';
const npmFolder = join(root, '.cache/interop');

/** As far as it is used here: the package brings no types. */
interface NpmConnection {
  on(event: 'message', heard: (message: { readonly utf8Data?: string }) => void): void;
  on(event: 'close', heard: (code: number, reason: string) => void): void;
  on(event: 'error', heard: (error: Error) => void): void;
  sendUTF(text: string): void;
  drop(): void;
}
interface NpmClient {
  /** What the upgrade was answered with. */
  readonly response?: { readonly headers: Readonly<Record<string, string>> };
  on(event: 'connect', heard: (connection: NpmConnection) => void): void;
  on(event: 'connectFailed', heard: (error: Error) => void): void;
  connect(url: string): void;
}

/** It knows no extensions, so it is never compressed to. */
export async function openNpmClient({
  url,
  first,
}: Omit<InteropOptions, 'compress'>): Promise<InteropClient> {
  const load = createRequire(join(npmFolder, 'package.json'));
  const loaded = (): { client: new () => NpmClient } => load('websocket') as never;
  let websocket: ReturnType<typeof loaded>;
  try {
    websocket = loaded();
  } catch {
    const options = [
      '--ignore-scripts',
      '--fetch-retries=5',
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--prefix',
      npmFolder,
    ];
    await run('npm', ['install', ...options, npmPackage]);
    websocket = loaded();
  }
  const seen = nothing();
  const client = new websocket.client();
  let drop = (): void => undefined;
  client.on('connectFailed', (error) => seen.complaints.push(error.message));
  client.on('connect', (connection) => {
    drop = () => connection.drop();
    seen.extensions = client.response?.headers['sec-websocket-extensions'] ?? '';
    connection.on('message', ({ utf8Data = '' }) => seen.frames.push(JSON.parse(utf8Data) as ServerFrame));
    connection.on('close', (code, reason) => {
      seen.close = { code, reason };
    });
    connection.on('error', (error) => seen.complaints.push(error.message));
    connection.sendUTF(JSON.stringify(first));
  });
  client.connect(url);
  return { seen, stop: () => drop() };
}
