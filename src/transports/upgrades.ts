/**
 * Upgrades that are no stream: one that comes before an earlier request on its connection is answered, and one to another
 * protocol than WebSocket.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * True while an answer is owed on a socket of the HTTP server. No client that means well sends an upgrade then: the answer
 * would be written into the stream, or the socket be left to nobody, without a time limit.
 */
export function isAnswering(socket: Duplex): boolean {
  // Node keeps the answer that is under way here, and has no public name for it.
  const { _httpMessage: answer } = socket as { readonly _httpMessage?: unknown };
  return answer !== undefined && answer !== null;
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
