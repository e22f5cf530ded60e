/** An old backend that says whatever a test wants, byte by byte, and is counted on: what it was asked, what it holds. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** @param head the request's head, and its body as far as it came with it */
export type Say = (socket: Socket, head: string) => void;

export class RawUpstream {
  readonly url: string;
  readonly port: number;
  /** The head of each request, in order. */
  readonly asked: string[];
  readonly sockets: Set<Socket>;
  private readonly server: Server;

  private constructor(server: Server, port: number, asked: string[], sockets: Set<Socket>) {
    this.server = server;
    this.port = port;
    this.asked = asked;
    this.sockets = sockets;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async open(say: Say): Promise<RawUpstream> {
    const asked: string[] = [];
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      let heard = '';
      socket.setEncoding('latin1');
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
      socket.on('data', (text: string) => {
        heard += text;
        if (!heard.includes('\r\n\r\n')) return;
        const head = heard;
        heard = '';
        asked.push(head);
        say(socket, head);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    return new RawUpstream(server, address.port, asked, sockets);
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

/** An answer whose length is told truly. */
export function answerText(status: string, headers: readonly string[], body = ''): string {
  return [
    `HTTP/1.1 ${status}`,
    ...headers,
    `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
    '',
    body,
  ].join('\r\n');
}
