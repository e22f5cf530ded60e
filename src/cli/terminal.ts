/** The outside of a command, so that one can be run without a process: what it prints to, reads from and is stopped by. */
import { hostname, userInfo } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { backoffMs } from '../async/retry.ts';
import { type Clock, pause, systemClock } from '../clock.ts';
import { type Environment, environment } from '../config/config.ts';
import { type Exit, exits } from './exits.ts';

export interface Terminal {
  readonly env: Environment;
  readonly clock: Clock;
  readonly input: Readable & { readonly isTTY?: boolean };
  /** A person looks at the output: it may be redrawn. */
  readonly isInteractive: boolean;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly stopped: AbortSignal;
  /** Prints to standard output. Resolves once there is room for more, so that a slow pipe costs no memory. */
  print(...lines: readonly string[]): Promise<void>;
  /** How the process will end. */
  end(exit: Exit): void;
  /** Says something beside the data, on standard error. */
  say(...lines: readonly string[]): void;
}

export function systemTerminal(): Terminal {
  let stopped: AbortSignal | undefined;
  return {
    env: environment(),
    clock: systemClock,
    input: process.stdin,
    isInteractive: process.stdout.isTTY,
    // Not before somebody asks: `serve` answers signals in its own way.
    get stopped() {
      stopped ??= stopSignal();
      return stopped;
    },
    print: (...lines) => written(process.stdout, lines),
    end(exit) {
      process.exitCode = exits[exit].code;
    },
    say: (...lines) => void written(process.stderr, lines),
  };
}

/** Aborted by the first Ctrl-C or SIGTERM; a second ends the process, whatever it is at. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(exits.stopped.code);
      stop.abort();
    });
  return stop.signal;
}

/** Resolves once the stream has room for more, or is gone. */
export async function written(stream: Writable, lines: readonly string[]): Promise<void> {
  if (stream.write(lines.map((line) => `${line}\n`).join(''))) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}

const backoff = { firstMs: 1000, maxMs: 16_000, jitter: [0.8, 1.2] } as const;

/** How long to wait after failures in a row: 1, 2, 4, 8, 16 s and so on with 16, each by ±20 %. */
export const pauseMs = (failures: number, clock: Pick<Clock, 'random'>): number =>
  backoffMs(failures, backoff, clock);

/** What others wrote, made safe to show: an event's type or a reason must not be able to drive the reader's terminal. */
export const printable = (text: string): string =>
  text.replaceAll(/\p{Cc}/gu, (found) => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

/** Waits; a stop ends the wait early. */
export const rest = ({ clock, stopped }: Terminal, ms: number): Promise<void> => pause(clock, ms, stopped);

/** A variable's value; one that is empty counts as absent, as it does for the gateway. */
export function setting(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}

/** Who sits at this machine, for what is written without a token that would say. */
export function localPerson(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user may have no name.
    return `${process.getuid?.() ?? 'somebody'}@${hostname()}`;
  }
}
