/**
 * Structured logs: JSON lines on standard output. Secrets never get through: fields are redacted by name at any depth,
 * URLs lose their query, and what looks like a token is cut out of every text.
 */
import type { Writable } from 'node:stream';
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

export type Logger = PinoLogger;
/** The part of a logger that most rooms call. */
export interface LeveledLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const redacted = '[redacted]';
const secretName =
  /^(?:authorization|proxy-authorization|cookie|set-cookie|.*(?:token|ticket|secret|password))$/i;
const boundNames = ['authorization', 'cookie', 'access_token', 'token', 'ticket', 'secret', 'password'];
const urlName = /^(?:url|path|href|referer|referrer|location)$/i;
const tokenInText =
  /\b(access_token|ticket|token)=[^&\s"'<>]+|\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*|\bBearer +\S+/gi;
// Deeper than any line of ours; a cycle ends here too.
const maxDepth = 8;
const maxWaitingBytes = 4 * 1024 * 1024;

/** @param destination where the lines go; standard output unless a test listens. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => scrubObject(fields, 0) },
      // The formatters are not asked for what a child logger is bound to.
      redact: { paths: boundNames, censor: redacted },
      // `scrubObject` has turned errors into plain fields already.
      serializers: { err: (value: unknown) => value },
      hooks: {
        logMethod(args, method) {
          // pino types a call by its overloads; here it is any of them.
          const [first, ...rest] = args as unknown[];
          const clean =
            first instanceof Error
              ? [{ err: first }, ...(rest.length > 0 ? rest : [first.message])]
              : [first, ...rest];
          const scrubbed = clean.map((arg) => (typeof arg === 'string' ? scrubText(arg) : arg));
          method.apply(this, scrubbed as Parameters<typeof method>);
        },
      },
    },
    destination ?? standardOutput(),
  );
}

/**
 * Returns standard output without waiting for its reader, which may stall or die and must not take the node along. The
 * buffer is bounded; past that, lines are dropped and counted. (pino's own destination waits for a stalled reader, and waits forever
 * at exit where the reader is gone.)
 */
function standardOutput(): DestinationStream {
  const out = process.stdout;
  // The reader is gone: there is nowhere to report it.
  out.on('error', () => undefined);
  return dropping(out, () => (droppedHere += 1));
}

let droppedHere = 0;

/** Lines of this process that its standard output had no room for. */
export const droppedLines = (): number => droppedHere;

/**
 * Returns `out` without waiting for it: lines past a bound are dropped. A line says how many once there is room again.
 * @param onDropped called for each
 */
export function dropping(out: Writable, onDropped: () => void): DestinationStream {
  let dropped = 0;
  const tell = (): void => {
    if (dropped === 0) return;
    const line = `{"level":"warn"${pino.stdTimeFunctions.isoTime()},"dropped":${dropped},"msg":"log lines were dropped"}`;
    dropped = 0;
    out.write(`${line}\n`);
  };
  out.on('drain', tell);
  return {
    write(line) {
      if (out.writableLength >= maxWaitingBytes) {
        dropped += 1;
        onDropped();
        return;
      }
      tell();
      out.write(line);
    },
  };
}

/** Returns the text with everything that looks like a token cut out. */
export function scrubText(text: string): string {
  return text.replace(tokenInText, (_found, name?: string) => (name ? `${name}=${redacted}` : redacted));
}

function scrubObject(fields: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, scrub(name, value, depth)]));
}

function scrub(name: string, value: unknown, depth: number): unknown {
  if (secretName.test(name)) return value === undefined ? undefined : redacted;
  if (typeof value === 'string')
    return scrubText(urlName.test(name) ? (value.split('?', 1)[0] ?? '') : value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return '[deep]';
  if (value instanceof Error) return scrubError(value, depth + 1);
  if (Array.isArray(value)) return value.map((item: unknown) => scrub('', item, depth + 1));
  if (value instanceof URL) return `${value.origin}${value.pathname}`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value;
  return scrubObject(value, depth + 1);
}

function scrubError(error: Error, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    ...('code' in error && { code: error.code }),
    message: scrubText(error.message),
    stack: scrubText(error.stack ?? ''),
    ...(error.cause !== undefined && { cause: scrub('cause', error.cause, depth) }),
  };
}
