/** Programs that a test starts: wait until one serves, end it by its own pid, and see that nothing of it is left. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const startMs = 60_000;

/**
 * Reads the program's standard output until it logs that it listens.
 * @returns the URL that the line names
 * @throws with what it printed, when it ends or falls silent before
 */
export async function untilListening(child: ChildProcess): Promise<string> {
  const { stdout } = child;
  if (stdout === null) throw new Error('its standard output must be a pipe');
  const printed: string[] = [];
  const lines = createInterface({ input: stdout });
  const late = setTimeout(() => lines.close(), startMs);
  try {
    for await (const line of lines) {
      printed.push(line);
      const url = listeningUrl(line);
      if (url !== undefined) return url;
    }
  } finally {
    clearTimeout(late);
    // The pipe must go on being read, or the program blocks once it is full.
    stdout.resume();
  }
  throw new Error(`it never said that it listens; it printed:\n${printed.join('\n')}`);
}

/** @returns the URL of a `"msg":"listening"` line, or undefined for any other line. */
export function listeningUrl(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry = JSON.parse(line) as { msg?: unknown; url?: unknown };
    return entry.msg === 'listening' && typeof entry.url === 'string' ? entry.url : undefined;
  } catch {
    return undefined;
  }
}

/** Sends the signal, unless it has ended. @returns its exit code, or the name of the signal that ended it. */
export async function stop(
  child: ChildProcess,
  signal: NodeJS.Signals = 'SIGTERM',
): Promise<number | string> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
  return child.exitCode ?? child.signalCode ?? 0;
}
