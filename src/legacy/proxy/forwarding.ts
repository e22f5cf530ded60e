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
  // No header of HTTP: CGI makes HTTP_PROXY of it, which programs take for a setting (httpoxy).
  'proxy',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const rewritten = new Set(['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto']);

/** Tells of the caller, as a proxy does: `Forwarded`, `X-Real-IP`, `X-Forwarded-…`. */
const isClaim = (key: string): boolean =>
  key === 'forwarded' || key === 'x-real-ip' || key.startsWith('x-forwarded-');

/**
 * The request's headers for the old backend. No `Via`: backends serve proxies otherwise than clients (nginx stops
 * compressing), and nothing may change for them. What `Connection` names passes, too: in front may stand a proxy that hands
 * on its client's `Connection`, and no client may take a header off that the proxy has set.
 * @param isTrusted the peer is a proxy of ours: what it says of the caller is extended, else replaced or left out
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
  const isLeftOut = (key: string): boolean =>
    rewritten.has(key) || leftOut?.has(key) === true || (!isTrusted && isClaim(key)) || isLookalike(key);
  const flat = ['Host', host ?? own, ...endToEnd(rawHeaders, undefined, isLeftOut)];
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

/** CGI and its kin read `X_Forwarded_For` as `X-Forwarded-For`: nobody spells one of these so but to be believed. */
function isLookalike(key: string): boolean {
  const read = key.replaceAll(/[^a-z\d]/g, '-');
  return read !== key && (rewritten.has(read) || hopByHop.has(read) || isClaim(read));
}

/** The answer's headers for the client. @param raw as undici gives them: bytes, name, value, name, value */
export function answerHeaders(raw: readonly Buffer[]): FlatHeaders {
  // The bytes of a header are kept: node:http writes them as Latin-1 too.
  const flat = raw.map((part) => part.toString('latin1'));
  const connection = flat.filter((_, at) => at % 2 === 1 && flat[at - 1]?.toLowerCase() === 'connection');
  return endToEnd(flat, connection.join(','), () => false);
}

/** Without what is of one connection alone, and what its `Connection` names. */
function endToEnd(
  flat: readonly string[],
  connection: string | undefined,
  isLeftOut: (key: string) => boolean,
): FlatHeaders {
  const named = namedBy(connection);
  const kept: FlatHeaders = [];
  for (let at = 0; at < flat.length; at += 2) {
    const name = flat[at] ?? '';
    const key = name.toLowerCase();
    if (!hopByHop.has(key) && !named?.has(key) && !isLeftOut(key)) kept.push(name, flat[at + 1] ?? '');
  }
  return kept;
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
  if (connection === undefined || connection === '' || connection === 'keep-alive') return undefined;
  const names = connection.split(',').map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => name !== 'close'));
}
