/** Which headers cross the node, either way: all as they came, but for those of one connection alone. Pure. */
import type { IncomingMessage } from 'node:http';

/** Name, value, name, value: duplicates, order and letter case as they came. */
export type FlatHeaders = string[];

// RFC 9110, 7.6.1. Expect was answered by the node's own 100.
const hopByHop = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const rewritten = new Set(['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto']);

/**
 * The request's headers for the old backend. No `Via`: backends serve proxies otherwise than clients (nginx stops
 * compressing), and nothing may change for them.
 * @param isTrusted the peer is a proxy of ours: what it says of the caller is extended, else replaced
 * @param host instead of the caller's own
 * @param leftOut more of them, lower case
 */
export function requestHeaders(
  request: IncomingMessage,
  isTrusted: boolean,
  host?: string,
  leftOut?: ReadonlySet<string>,
): FlatHeaders {
  const { headers, rawHeaders, socket } = request;
  const own = headers.host ?? '';
  const flat: FlatHeaders = ['Host', host ?? own];
  const dropped = namedBy(headers.connection);
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const key = name.toLowerCase();
    if (!hopByHop.has(key) && !rewritten.has(key) && !dropped?.has(key) && !leftOut?.has(key))
      flat.push(name, rawHeaders[at + 1] ?? '');
  }
  const said = (name: string): string | undefined => {
    const value = isTrusted ? headers[name] : undefined;
    return Array.isArray(value) ? value.join(', ') : value || undefined;
  };
  const chain = said('x-forwarded-for');
  const peer = socket.remoteAddress ?? 'unknown';
  flat.push('X-Forwarded-For', chain === undefined ? peer : `${chain}, ${peer}`);
  flat.push('X-Forwarded-Proto', said('x-forwarded-proto') ?? 'http');
  const forwardedHost = said('x-forwarded-host') ?? own;
  if (forwardedHost !== '') flat.push('X-Forwarded-Host', forwardedHost);
  return flat;
}

/** The answer's headers for the client. @param raw as undici gives them: bytes, name, value, name, value */
export function answerHeaders(raw: readonly (Buffer | string)[]): FlatHeaders {
  const flat: FlatHeaders = [];
  let dropped: ReadonlySet<string> | undefined;
  let hasNamed = false;
  for (let at = 0; at < raw.length; at += 2) {
    const name = textOf(raw[at]);
    const key = name.toLowerCase();
    const value = textOf(raw[at + 1]);
    if (key === 'connection') {
      const named = namedBy(value);
      if (named !== undefined) dropped = new Set([...(dropped ?? []), ...named]);
      hasNamed = dropped !== undefined;
    } else if (!hopByHop.has(key)) flat.push(name, value);
  }
  return hasNamed ? without(flat, dropped ?? new Set()) : flat;
}

/** Names in lower case, the last of each; several `Set-Cookie` are joined by line feeds. For readers, never for the wire. */
export function headerRecord(flat: FlatHeaders): Record<string, string> {
  const record: Record<string, string> = {};
  for (let at = 0; at < flat.length; at += 2) {
    const key = (flat[at] ?? '').toLowerCase();
    const value = flat[at + 1] ?? '';
    const before = record[key];
    record[key] = key === 'set-cookie' && before !== undefined ? `${before}\n${value}` : value;
  }
  return record;
}

/** A request without either has no body (RFC 9112, 6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** What `Connection` names besides the usual; undefined for nothing, which is nearly always. */
function namedBy(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === 'keep-alive') return undefined;
  const names = connection
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'close' && name !== 'keep-alive');
  return names.length === 0 ? undefined : new Set(names);
}

function without(flat: FlatHeaders, dropped: ReadonlySet<string>): FlatHeaders {
  return flat.filter((_, at) => !dropped.has((flat[at - (at % 2)] ?? '').toLowerCase()));
}

// The bytes of a header are kept: node:http writes them as Latin-1 too.
const textOf = (part: Buffer | string | undefined): string =>
  typeof part === 'string' ? part : (part?.toString('latin1') ?? '');
