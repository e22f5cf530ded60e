/** How a command ends: the one table of exit codes, and the error that carries a row of it to the shell. */

export const exits = {
  done: { code: 0, means: 'done (doctor, legacy check: nothing wrong, or warnings only)' },
  usage: {
    code: 1,
    means: 'wrong usage, settings or input (doctor, legacy check: something must be put right)',
  },
  refused: { code: 2, means: 'the gateway refused; its error code is shown' },
  unreachable: { code: 3, means: 'no Turnout gateway answers at the URL (legacy: no old API)' },
  conflict: { code: 4, means: 'somebody else changed the rules first, or a kill file still stands' },
  partial: {
    code: 5,
    means:
      'it stands, but not everywhere: every node is capped, a node lags, or the rules could not be written',
  },
  stopped: { code: 130, means: 'interrupted before it was done; tail and --watch end with 0' },
} as const;

export type Exit = keyof typeof exits;

interface CommandErrorDetails {
  /** The gateway's error code, where it is one. */
  readonly code?: string | undefined;
  /** What the person should do next. */
  readonly hint?: string | undefined;
  /** True where the same call may succeed later. */
  readonly isTransient?: boolean;
  /** What the gateway asked to wait, milliseconds. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A command that ends with something else than `done`. Its message is for a person and never holds a token. */
export class CommandError extends Error {
  constructor(
    readonly exit: Exit,
    message: string,
    readonly details: CommandErrorDetails = {},
  ) {
    super(message, { cause: details.cause });
    this.name = 'CommandError';
  }
}

/** The table as `--help` shows it. */
export const exitHelp = (): string =>
  [
    'Exit codes:',
    ...Object.values(exits).map(({ code, means }) => `  ${String(code).padEnd(3)}  ${means}`),
  ].join('\n');

/** An error as the shell's user sees it: what, its code, what next. */
export function errorLines({ message, details: { code, hint } }: CommandError): string[] {
  const first = `turnout: ${message}${code === undefined ? '' : ` (${code})`}`;
  return hint === undefined ? [first] : [first, `  next: ${hint}`];
}

/** The same for scripts that asked for JSON. */
export const errorJson = ({ exit, message, details: { code, hint } }: CommandError): string =>
  JSON.stringify({ error: { exit: exits[exit].code, code: code ?? null, message, hint: hint ?? null } });
