/** Commands as somebody pastes them into a terminal: one shell, its standard input held open, ended with all it started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { until } from './until.ts';

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) endGroup(child, 'SIGKILL');
});

/** The shell leads a process group of its own: wscat and curl end with it. */
function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended by itself before.
  }
}

export interface Pasted {
  /** Standard output and error together, as a terminal shows them. */
  said(): string;
  type(line: string): void;
  /** Waits for `pattern` in what was said. @throws with what was said instead. */
  untilSaid(pattern: RegExp): Promise<RegExpExecArray>;
  readonly exited: Promise<number | null>;
  end(signal?: NodeJS.Signals): Promise<void>;
}

export function paste(commands: string, env: NodeJS.ProcessEnv): Pasted {
  const child = spawn('bash', ['-c', commands], { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  running.add(child);
  let heard = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      heard += chunk.toString('utf8');
    });
  // A program that is gone no longer reads what is typed.
  child.stdin.on('error', () => undefined);
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  return {
    said: () => heard,
    type: (line) => {
      child.stdin.write(`${line}\n`);
    },
    untilSaid: async (pattern) => {
      await until(
        () => pattern.test(heard),
        () => `${pattern}; it said:\n${heard}`,
      );
      const found = pattern.exec(heard);
      if (found === null) throw new Error('what was said is gone');
      return found;
    },
    exited,
    end: async (signal = 'SIGTERM') => {
      endGroup(child, signal);
      await exited;
    },
  };
}
