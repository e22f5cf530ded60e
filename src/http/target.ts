/**
 * Which request targets a node answers at all (RFC 9112, 3.2): a path and a query that every server reads alike. A proxy in
 * front and an upstream behind may decode, resolve `..` or merge slashes; a path that would be another one's then gets 400
 * before any route sees it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { codes } from '../../schema/codes.ts';
import { errorBody, fail } from '../errors.ts';

/** The owner of a path as it is written: Turnout, or a legacy API; undefined: nobody. */
export type OwnerOf = (path: string) => unknown;

// Most targets: no segment begins with a dot, nothing is encoded in the path, and no two slashes follow each other.
const plainTarget = /^(?:\/[\w~!$&'()*+,=:@-][\w.~!$&'()*+,=:@-]*)*\/?(?:\?[!-"$-~]*)?$/;
// A host and perhaps a port: with a slash in it, the URL that is made of Host and target would have another path.
const plainHost = /^[\w.~!$&'()*+,;=:%[\]-]*$/;
const byte = /%(?:u00)?([0-9a-f]{2})/gi;
// A text that is encoded more often than this means nobody well.
const mostRounds = 3;

/** How careless decoders read bytes: overlong UTF-8, and the full-width forms of a dot and of slashes. */
const careless: readonly (readonly [RegExp, string])[] = [
  [/\xc0\xae|\xe0\x80\xae|\xf0\x80\x80\xae|\xef\xbc\x8e/g, '.'],
  [/\xc0\xaf|\xe0\x80\xaf|\xf0\x80\x80\xaf|\xef\xbc\x8f/g, '/'],
  [/\xc1\x9c|\xe0\x81\x9c|\xf0\x80\x81\x9c|\xef\xbc\xbc/g, '/'],
  [/\\/g, '/'],
  // Servlets take a segment's parameters off.
  [/;[^/]*/g, ''],
  // URL parsers leave out tabs and line feeds; Windows, blanks at the end.
  [/[\0-\x20\x7f]/g, ''],
  [/\/{2,}/g, '/'],
];

/** Returns what is wrong with a request's target or Host, for its sender; undefined: nothing. */
export function targetProblem(
  { url = '', headers }: Pick<IncomingMessage, 'url' | 'headers'>,
  ownerOf: OwnerOf,
): string | undefined {
  if (!plainHost.test(headers.host ?? '')) return 'Host: must be a host name and perhaps a port';
  if (url.startsWith('/') && plainTarget.test(url)) return undefined;
  if (!url.startsWith('/')) return 'the target must be a path';
  if (/[\0- #\x7f]/.test(url)) return 'the target holds a blank, a control character or #';
  const path = url.split('?', 1)[0] ?? '';
  if (path.includes('\\') || /%(?!(?:u00)?[0-9a-f]{2})/i.test(path)) return 'the path is not a URL path';
  const decoded = decode(path);
  if (decoded === undefined || decoded.includes('\0'))
    return 'the path is encoded in a way that hides what it is';
  const loose = careless.reduce((text, [form, plain]) => text.replace(form, plain), decoded);
  if (/\/\.+(?:[/?#]|$)/.test(loose)) return 'the path has dot segments';
  const other = ownerOf(loose.split(/[?#]/, 1)[0] ?? '');
  if (other !== undefined && other !== ownerOf(path))
    return 'the path is another path in an unusual spelling';
  return undefined;
}

/** Decodes until nothing is encoded; undefined: never. */
function decode(path: string): string | undefined {
  let text = path;
  for (let round = 0; round < mostRounds; round += 1) {
    const next = text.replace(byte, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (next === text) return text;
    text = next;
  }
  return text.search(byte) === -1 ? text : undefined;
}

interface RefusingOptions {
  readonly problemOf: (request: IncomingMessage) => string | undefined;
  readonly clock: { id(): string };
  readonly onRefused: () => void;
  /** Asked about every other request. */
  readonly next: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
}

/** Returns a handler that takes what has a problem and answers it 400, and asks `next` about the rest. */
export function refusingTargets({ problemOf, clock, onRefused, next }: RefusingOptions) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const problem = problemOf(request);
    if (problem === undefined) return next?.(request, response) ?? false;
    const requestId = clock.id();
    const headers = {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': requestId,
    };
    response.writeHead(codes.bad_request.status, headers);
    response.end(JSON.stringify(errorBody(fail('bad_request', problem), requestId)));
    onRefused();
    return true;
  };
}
