/**
 * What an error of Redis means for the log: that the server fails everybody, that one org's keys are damaged, or neither for
 * sure. Only the first may mark the log as down: one org's fault is no other org's.
 */
import { Unreadable } from './redis-wire.ts';

export interface RedisFault {
  /** Redis's own word, or `timeout`, `closed`, `script`, `unreadable`, `other`: a label of `turnout_redis_errors_total`. */
  readonly word: string;
  /** `unsure`: the next heartbeat shows whether the server has it, too. */
  readonly of: 'server' | 'org' | 'unsure';
}

export const explanations: Readonly<Record<string, string>> = {
  OOM: 'full, refuses writes (OOM)',
  READONLY: 'a read-only replica (READONLY)',
  MISCONF: 'cannot save to its disk (MISCONF)',
  NOREPLICAS: 'too few replicas (NOREPLICAS)',
  MASTERDOWN: 'a replica whose master is down (MASTERDOWN)',
  LOADING: 'loading its data (LOADING)',
  BUSY: 'busy with a script (BUSY)',
  CLUSTERDOWN: 'a part of the cluster is down (CLUSTERDOWN)',
  WRONGPASS: 'refuses our password (WRONGPASS)',
  NOAUTH: 'wants a password (NOAUTH)',
  database: 'refuses the database that TURNOUT_REDIS_URL names',
  certificate: 'its certificate is not trusted (see NODE_EXTRA_CA_CERTS)',
  timeout: 'does not answer',
  closed: 'cannot be reached',
  other: 'failing',
};

export const refusals: ReadonlySet<string> = new Set(['WRONGPASS', 'NOAUTH', 'database', 'certificate']);

const firstWord = (message: string): string => /^[A-Z]+/.exec(message)?.[0] ?? '';

/** @param message of a connection that failed @returns the refusal's word; undefined: it may heal by itself. */
export function refusalIn(message: string): string | undefined {
  const word = firstWord(message);
  if (refusals.has(word)) return word;
  if (/DB index|'select' command/.test(message)) return 'database';
  // An alert comes from Redis: it is our certificate that it misses.
  return /certificate/i.test(message) && !message.includes('alert') ? 'certificate' : undefined;
}

// A script of ours failed on what it found in the org's keys. Redis refuses a command that it doesn't have, or that its user
// may not call, in other words: that concerns every org.
const scriptFault = /^ERR (?:user_script|Error running script)|^ERR (?!.*\bcommand\b).*\bscript: /i;

/** @param error of a command of the log */
export function redisFault(error: unknown): RedisFault {
  if (error instanceof Unreadable) return { word: 'unreadable', of: 'org' };
  const message = error instanceof Error ? error.message : '';
  const word = firstWord(message);
  if (word === 'WRONGTYPE') return { word, of: 'org' };
  // Memory may be short for one large append alone, or for a moment.
  if (word === 'OOM') return { word, of: 'unsure' };
  if (Object.hasOwn(explanations, word)) return { word, of: 'server' };
  if (scriptFault.test(message)) return { word: 'script', of: 'org' };
  if (/timed out|timeout/i.test(message)) return { word: 'timeout', of: 'server' };
  const isClosed = /clos|writeable|ECONN|retries|connect/i.test(message);
  return isClosed ? { word: 'closed', of: 'server' } : { word: 'other', of: 'unsure' };
}
