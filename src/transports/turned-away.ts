/** Sockets that don't become a stream: answered by a status, closed with a reason to read, or served as plain requests. */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Code, codes } from '../../schema/codes.ts';
import { errorBody, retryAfterOf } from '../errors.ts';
import type { StreamDeps } from './deps.ts';

// How long a refused peer may take to read why, and how much it may still say.
const refusalMs = 1000;
const refusedBytes = 64 * 1024;

/** Answers an upgrade with a status, which a browser can't read. */
export function refuseUpgrade(
  socket: Duplex,
  code: Code,
  { clock, wheel }: Pick<StreamDeps, 'clock' | 'wheel'>,
  message: string = codes[code].message,
): void {
  const { status } = codes[code];
  const retryAfterS = retryAfterOf({ code });
  const body = JSON.stringify(errorBody({ code, message }, clock.id()));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(retryAfterS === undefined ? [] : [`Retry-After: ${retryAfterS}`]),
    // What is spoken here, for a client of another version (RFC 6455, 4.4).
    ...(status === 400 ? ['Sec-WebSocket-Version: 13'] : []),
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Read what still comes, so that the answer isn't lost to a reset.
  socket.resume();
  cutSoon(socket, wheel);
}

/** Gives the peer a second to read why it was refused, and reads little of what it still says: then cuts it. */
export function cutSoon(socket: Duplex, wheel: StreamDeps['wheel']): void {
  let leftBytes = refusedBytes;
  socket.on('data', (chunk: Buffer) => {
    leftBytes -= chunk.length;
    if (leftBytes < 0) socket.destroy();
  });
  const cancel = wheel.after(refusalMs, () => void socket.destroy());
  socket.once('close', cancel);
}

/**
 * An upgrade to anything else (h2c, say) is an offer that a server may pass over: the request is answered as if it had
 * not been made. Node hands such a socket to the `upgrade` listener and would leave it hanging.
 */
export function serveWithoutUpgrade(
  server: Server,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/1.1`];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2);
    if (!/^(upgrade|connection|http2-settings)$/i.test(name)) lines.push(`${name}: ${value}`);
  }
  if (head.length > 0) socket.unshift(head);
  socket.unshift(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
  server.emit('connection', socket);
}
