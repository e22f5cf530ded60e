/** Debian's HAProxy with the snippet of docs/ops, its addresses replaced by a test's own. Ended with its process group. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCommand } from './debian.ts';
import { call } from './http-client.ts';
import { paste, type Pasted } from './pasted-commands.ts';
import { freePort } from './ports.ts';
import { root } from './sources.ts';
import { until } from './until.ts';

export class Haproxy {
  private constructor(
    readonly url: string,
    private readonly shell: Pasted,
    private readonly folder: string,
  ) {}

  /** @param targets two nodes, and the site that they join */
  static async start(targets: {
    readonly nodes: readonly string[];
    readonly site: string;
  }): Promise<Haproxy> {
    const program = await ensureCommand('haproxy', 'haproxy');
    const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), 'turnout-haproxy-'))];
    const [first = '', second = ''] = targets.nodes;
    const addresses = [
      [':8080', `127.0.0.1:${port}`],
      ['10.0.0.11:4000', new URL(first).host],
      ['10.0.0.12:4000', new URL(second).host],
      ['10.0.0.10:3000', new URL(targets.site).host],
    ] as const;
    const written = readFileSync(join(root, 'docs/ops/haproxy-turnout.cfg'), 'utf8').split('\n');
    const isComment = (line: string): boolean => line.trim().startsWith('#');
    const told = written.map((line) =>
      isComment(line) ? line : addresses.reduce((text, [from, to]) => text.replace(from, to), line),
    );
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, told.join('\n'));
    const shell = paste(`exec ${program} -db -f ${file}`, process.env);
    const url = `http://127.0.0.1:${port}`;
    const isUp = (): Promise<boolean> =>
      call(url).then(
        ({ status }) => status < 500,
        () => false,
      );
    await until(isUp, () => `HAProxy; it said:\n${shell.said()}`);
    return new Haproxy(url, shell, folder);
  }

  /** Waits for `pattern` in what it said. */
  async untilSaid(pattern: RegExp): Promise<void> {
    await this.shell.untilSaid(pattern);
  }

  async end(): Promise<void> {
    await this.shell.end();
    rmSync(this.folder, { recursive: true });
  }
}
