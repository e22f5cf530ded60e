/**
 * A guide's terminals: a folder of their own, variables that outlive a block, `turnout` on the PATH, and the guide's addresses
 * put in place of those of a test.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { paste, type Pasted } from './pasted-commands.ts';
import { root } from './sources.ts';

const run = promisify(execFile);
const blockMs = 20_000;

export interface GuideShellOptions {
  /** What the guide says, and what is meant here. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly env: NodeJS.ProcessEnv;
}

export class GuideShell {
  readonly folder: string;
  private readonly options: GuideShellOptions;
  private readonly open = new Set<Pasted>();

  private constructor(folder: string, options: GuideShellOptions) {
    this.folder = folder;
    this.options = options;
  }

  static async open(options: GuideShellOptions): Promise<GuideShell> {
    const folder = await mkdtemp(join(tmpdir(), 'turnout-guide-'));
    // What `npm link` would have made, and what a reader in this folder has.
    const command = join(folder, 'turnout');
    await writeFile(command, `#!/bin/sh\nexec node ${join(root, 'dist/src/cli/main.js')} "$@"\n`);
    await chmod(command, 0o755);
    for (const name of ['dist', 'node_modules', 'tests', 'schema', 'package.json'])
      await symlink(join(root, name), join(folder, name));
    return new GuideShell(folder, options);
  }

  /** Runs a block to its end, as typed. @returns what it printed, standard error included. @throws where it fails */
  async block(text: string): Promise<string> {
    const script = `exec 2>&1\n${this.prelude()}set -eo pipefail\n${this.here(text)}\nset +e\nexport -p > .variables\n`;
    try {
      const { stdout } = await run('bash', ['-c', script], {
        cwd: this.folder,
        env: this.env(),
        timeout: blockMs,
      });
      return stdout;
    } catch (error) {
      const said = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
      throw new Error(`this block failed:\n${text}\nit said:\n${said}`, { cause: error });
    }
  }

  /** A block in a terminal of its own, which goes on. */
  keep(text: string): Pasted {
    const pasted = paste(`cd ${this.folder}\n${this.prelude()}${this.here(text)}`, this.env());
    this.open.add(pasted);
    return pasted;
  }

  /** Ends what was kept at once, the newest first, and removes the folder. */
  async close(): Promise<void> {
    for (const pasted of [...this.open].toReversed()) await pasted.end('SIGKILL');
    await rm(this.folder, { recursive: true });
  }

  /** A variable as the blocks left it. */
  async variable(name: string): Promise<string> {
    const found = new RegExp(`^declare -x ${name}="(.*)"$`, 'm').exec(
      await readFile(join(this.folder, '.variables'), 'utf8'),
    );
    if (found?.[1] === undefined) throw new Error(`no block has exported ${name}`);
    return found[1];
  }

  private prelude(): string {
    return existsSync(join(this.folder, '.variables')) ? '. ./.variables\n' : '';
  }

  private env(): NodeJS.ProcessEnv {
    const { PATH, HOME } = process.env;
    return { HOME, ...this.options.env, PATH: `${this.folder}:${PATH}` };
  }

  private here(text: string): string {
    return Object.entries(this.options.addresses).reduce((all, [from, to]) => all.replaceAll(from, to), text);
  }
}
