/**
 * Requests whose end two servers could find at different places. In each is a second one, for `/api/smuggled`: it must never
 * be answered, and no upstream may be asked for it.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openRaw } from './raw-socket.ts';
import { sleep } from './until.ts';

const inner = 'GET /api/smuggled HTTP/1.1\r\nHost: old\r\n\r\n';
const hidden = `0\r\n\r\n${inner}`;
const chunk = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
const length = (text: string): string => `Content-Length: ${text.length}`;
const chunkedTE = 'Transfer-Encoding: chunked';

const post = (lines: readonly string[], body: string): string =>
  `POST /api/x HTTP/1.1\r\nHost: old\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`;
const get = (lines: readonly string[], body: string): string => post(lines, body).replace('POST', 'GET');

/** Name, and bytes as characters. */
export const smuggledForms: readonly (readonly [string, string])[] = [
  ['a length that covers more than the chunks', post([length(hidden), chunkedTE], hidden)],
  ['chunks before a length', post([chunkedTE, length(hidden)], hidden)],
  ['a length that covers less than the chunks', post(['Content-Length: 4', chunkedTE], chunk)],
  ['an unknown transfer coding', post([length(hidden), 'Transfer-Encoding: xchunked'], hidden)],
  ['identity beside a length', post([length(hidden), 'Transfer-Encoding: identity'], hidden)],
  ['chunked, then identity', post(['Transfer-Encoding: chunked, identity'], hidden)],
  ['identity, then chunked', post([length(hidden), 'Transfer-Encoding: identity, chunked'], hidden)],
  ['two lines of codings', post([length(hidden), chunkedTE, 'Transfer-Encoding: cow'], hidden)],
  ['a coding in capitals', post([length(hidden), 'TRANSFER-ENCODING: CHUNKED'], hidden)],
  ['a coding behind a tab', post([length(hidden), 'Transfer-Encoding:\tchunked'], hidden)],
  ['a coding behind a vertical tab', post([length(hidden), 'Transfer-Encoding: \x0bchunked'], hidden)],
  ['a coding before a NUL', post([length(hidden), 'Transfer-Encoding: chunked\0'], hidden)],
  ['a coding in quotes', post([length(hidden), 'Transfer-Encoding: "chunked"'], hidden)],
  ['a blank before the colon', post([length(hidden), 'Transfer-Encoding : chunked'], hidden)],
  ['a blank before the name', post([length(hidden), ' Transfer-Encoding: chunked'], hidden)],
  ['a folded coding', post([length(hidden), 'Transfer-Encoding:\r\n chunked'], hidden)],
  ['a name with an underscore', post([length(hidden), 'Transfer_Encoding: chunked'], hidden)],
  ['a coding behind a lone LF', post([length(hidden), `X-A: b\n${chunkedTE}`], hidden)],
  ['a coding behind a lone CR', post([length(hidden), `X-A: b\r${chunkedTE}`], hidden)],
  ['two lengths', post(['Content-Length: 0', length(inner)], inner)],
  ['two lengths, the longer first', post([length(inner), 'Content-Length: 0'], inner)],
  ['a list of lengths', post([`Content-Length: 0, ${inner.length}`], inner)],
  ['a length with a sign', post([`Content-Length: +${inner.length}`], inner)],
  ['a negative length', post(['Content-Length: -1'], inner)],
  ['a length in hex', post([`Content-Length: 0x${inner.length.toString(16)}`], inner)],
  ['a length with a blank within', post(['Content-Length: 1 0'], inner)],
  ['a length beyond numbers', post(['Content-Length: 18446744073709551616'], inner)],
  ['a length behind a blank name', post([' Content-Length: 0', length(inner)], inner)],
  ['a GET with a length', get([length(inner)], inner)],
  ['a GET with a length and chunks', get([length(hidden), chunkedTE], hidden)],
  ['a chunk size with 0x', post([chunkedTE], `0x${chunk}`)],
  ['a negative chunk size', post([chunkedTE], `-1\r\n${hidden}`)],
  ['a chunk size beyond numbers', post([chunkedTE], `1${'0'.repeat(16)}\r\n${hidden}`)],
  ['a chunk size behind a blank', post([chunkedTE], ` ${chunk}`)],
  ['a chunk longer than its size', post([chunkedTE], `1\r\nab\r\n${hidden}`)],
  ['chunks with lone LFs', post([chunkedTE], hidden.replace('0\r\n\r\n', '0\n\n'))],
  ['a chunk extension with a lone LF', post([chunkedTE], `1;a\nx\r\n${hidden}`)],
  ['a trailer that is a length', post([chunkedTE], `0\r\n${length(inner)}\r\n\r\n`)],
  ['a Connection that names the length', post(['Connection: Content-Length', length(inner)], inner)],
  ['a Connection that names the coding', post(['Connection: Transfer-Encoding', chunkedTE], chunk)],
  ['chunks in HTTP/1.0', post([length(hidden), chunkedTE], hidden).replace('HTTP/1.1', 'HTTP/1.0')],
  ['an offer of h2c', post(['Connection: Upgrade', 'Upgrade: h2c', length(inner)], inner)],
  ['a WebSocket that has a body', get(['Connection: Upgrade', 'Upgrade: websocket', length(inner)], inner)],
  ['a line feed in the target', get([], '').replace('/api/x', `/api/x HTTP/1.1\nHost: old\n\n${inner}`)],
  ['an Expect', post(['Expect: 100-continue', length(inner)], inner)],
];

/** An upstream that tells for which targets it was asked. */
export async function openTellingUpstream() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    request.resume();
    request.on('end', () => response.end(`answer to ${request.url}`));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The server listens on a port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close(): void {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Sends one, then an honest request. Returns all that came until the end of the connection, or until nothing comes. */
export async function smuggle(url: string, bytes: string): Promise<string> {
  const raw = await openRaw(url, Buffer.from(bytes, 'latin1'));
  const quiet = async (): Promise<void> => {
    // What is held for the rest of a body that never comes says nothing: that is an answer, too.
    for (let turn = 0; turn < 30 && !raw.isClosed() && !/HTTP\/1\.1 [2-5]/.test(raw.said()); turn += 1)
      await sleep(10);
  };
  await quiet();
  if (!raw.isClosed()) {
    raw.socket.write('GET /api/honest HTTP/1.1\r\nHost: old\r\nConnection: close\r\n\r\n');
    for (let turn = 0; turn < 30 && !raw.isClosed(); turn += 1) await sleep(10);
  }
  raw.socket.destroy();
  return raw.said();
}
