/** A terminal without a process: what a command prints and says is kept, and how it would end. */
import { Readable } from 'node:stream';
import { type Exit, exits } from '../../src/cli/exits.ts';
import { turnoutProgram } from '../../src/cli/program.ts';
import type { Terminal } from '../../src/cli/terminal.ts';
import { systemClock } from '../../src/clock.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `turnout …` in this process. @param outside what it is stopped by and reads, where it is */
export async function runTurnout(
  args: readonly string[],
  env: Terminal['env'] = {},
  outside: Partial<Pick<Terminal, 'input' | 'stopped'>> = {},
): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []];
  let end: Exit = 'done';
  const terminal: Terminal = {
    env,
    clock: systemClock,
    input: Readable.from([]),
    isInteractive: false,
    stopped: new AbortController().signal,
    ...outside,
    print(...lines) {
      out.push(...lines);
      return Promise.resolve();
    },
    say: (...lines) => void err.push(...lines),
    end(exit) {
      end = exit;
    },
  };
  await turnoutProgram(terminal, args).parseAsync(args, { from: 'user' });
  return { code: exits[end].code, out: out.join('\n'), err: err.join('\n') };
}
