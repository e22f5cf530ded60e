/** The `turnout` command in a process of its own, as a shell runs it. Ended by its id, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { testAdminToken } from './token-maker.ts';
import { until, within } from './until.ts';

export type Variables = Readonly<Record<string, string | undefined>>;

export interface Ended {
  /** Null when a signal ended it. */
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class TurnoutCommand {
  /** Lines of standard output and of standard error, as they came. */
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;

  constructor(args: readonly string[], variables: Variables, input?: string) {
    const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
    for (const [name, value] of Object.entries(variables)) if (value !== undefined) env[name] = value;
    const child = spawn(process.execPath, ['dist/src/cli/main.js', ...args], { env });
    this.child = child;
    running.add(child);
    createInterface({ input: child.stdout }).on('line', (line) => this.out.push(line));
    createInterface({ input: child.stderr }).on('line', (line) => this.err.push(line));
    this.ended = new Promise((resolve) => {
      child.once('close', (exit) => {
        running.delete(child);
        resolve({ exit, out: this.out.join('\n'), err: this.err.join('\n') });
      });
    });
    child.stdin.end(input ?? '');
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async untilOut(fact: (lines: readonly string[]) => boolean, what: string): Promise<void> {
    await until(
      () => fact(this.out),
      () => `${what}; it said:\n${[...this.out, ...this.err].slice(-20).join('\n')}`,
    );
  }

  /** Ctrl-C, and how it ended. */
  interrupt(): Promise<Ended> {
    this.signal('SIGINT');
    return within(this.ended, 'the end after SIGINT');
  }
}

/** Runs it to its end. */
export function turnout(args: readonly string[], variables: Variables = {}, input?: string): Promise<Ended> {
  const command = new TurnoutCommand(args, variables, input);
  return within(command.ended, `the end of turnout ${args.join(' ')}`);
}

/** As an operator of this gateway. */
export const asAdmin = (url: string): Variables => ({
  TURNOUT_URL: url,
  TURNOUT_ADMIN_TOKEN: testAdminToken,
});
