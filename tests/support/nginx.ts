/** Debian's nginx with the snippet of docs/ops, its addresses replaced by a test's own. Ended by its pid. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureCommand } from './debian.ts';
import { freePort } from './ports.ts';
import { root } from './sources.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export type OldApiBy = 'backend' | 'turnout_or_backend';

export interface NginxTargets {
  readonly backend: string;
  readonly turnout: string;
}

/** What nginx answered one request with. */
export interface Logged {
  readonly status: number;
  readonly uri: string;
  /** Who was asked, in turn. */
  readonly upstreams: string;
}

export class Nginx {
  readonly url: string;
  private readonly program: string;
  private readonly folder: string;
  private readonly snippet: string;
  private readonly child: ChildProcess;

  private constructor(url: string, program: string, folder: string, snippet: string, child: ChildProcess) {
    this.url = url;
    this.program = program;
    this.folder = folder;
    this.snippet = snippet;
    this.child = child;
  }

  static async start(targets: NginxTargets, by: OldApiBy): Promise<Nginx> {
    const program = await ensureCommand('nginx', 'nginx');
    const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'turnout-nginx-'))];
    const text = await readFile(join(root, 'docs/ops/nginx-turnout.conf'), 'utf8');
    const snippet = replaced(text, {
      'listen 80;': `listen 127.0.0.1:${port};`,
      '127.0.0.1:3000': new URL(targets.backend).host,
      '127.0.0.1:8080': new URL(targets.turnout).host,
    });
    await writeFile(join(folder, 'nginx.conf'), mainConfig(folder));
    await writeFile(join(folder, 'turnout.conf'), switched(snippet, by));
    const child = spawn(program, ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]);
    running.add(child);
    child.once('exit', () => running.delete(child));
    const nginx = new Nginx(`http://127.0.0.1:${port}`, program, folder, snippet, child);
    await until(() => {
      if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}, see ${folder}`);
      return accepts(port);
    }, 'nginx to listen');
    return nginx;
  }

  /** Writes the other answer into the snippet and reloads; resolves once new workers have the new one. */
  async switchTo(by: OldApiBy): Promise<void> {
    const before = await this.workers();
    await writeFile(join(this.folder, 'turnout.conf'), switched(this.snippet, by));
    await run(this.program, ['-t', '-q', '-c', join(this.folder, 'nginx.conf')]);
    this.child.kill('SIGHUP');
    await until(async () => (await this.workers()).some((pid) => !before.includes(pid)), 'workers anew');
  }

  async answers(): Promise<Logged[]> {
    const lines = (await readFile(join(this.folder, 'access.log'), 'utf8')).trim().split('\n');
    return lines.map((line) => {
      const [status = '', uri = '', ...upstreams] = line.split(' ');
      return { status: Number(status), uri, upstreams: upstreams.join(' ') };
    });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await ended;
    }
    await rm(this.folder, { recursive: true });
  }

  private async workers(): Promise<string[]> {
    const { pid = 0 } = this.child;
    return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
  }
}

/** The site's own part. Answers close their connections: a reload closes idle ones, which is nginx's race, not the switch's. */
const mainConfig = (folder: string): string => `
daemon off;
worker_processes 2;
user ${process.getuid?.() === 0 ? 'root' : 'nobody'};
pid ${folder}/nginx.pid;
error_log ${folder}/error.log info;
events { worker_connections 4096; }
http {
  log_format upstreams '$status $uri $upstream_addr';
  access_log ${folder}/access.log upstreams;
  keepalive_timeout 0;
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${folder}/${name};`).join('\n')}
  include ${folder}/turnout.conf;
}
`;

const switched = (snippet: string, by: OldApiBy): string =>
  replaced(snippet, { '" turnout_or_backend;': `" ${by};` });

/** @throws where the text lacks what is to be replaced */
function replaced(text: string, by: Readonly<Record<string, string>>): string {
  let result = text;
  for (const [from, to] of Object.entries(by)) {
    if (!result.includes(from)) throw new Error(`the snippet says no ${from}`);
    result = result.replaceAll(from, to);
  }
  return result;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
