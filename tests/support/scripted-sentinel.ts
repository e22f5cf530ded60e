/** A Sentinel that names a master when a test lets it, and tells of a failover when the test says so. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
const list = (...items: readonly string[]): string => `*${items.length}\r\n${items.map(bulk).join('')}`;

export class ScriptedSentinel {
  readonly port: number;
  /** Asked before each answer that names the master. */
  beforeAnswer: () => Promise<unknown> = async () => undefined;
  /** Connections that wait to be told of a failover. */
  readonly listeners = new Set<Socket>();
  private readonly server: Server;
  private readonly sockets: Set<Socket>;

  private constructor(server: Server, port: number, sockets: Set<Socket>) {
    this.server = server;
    this.port = port;
    this.sockets = sockets;
  }

  static async open(masterPort: number): Promise<ScriptedSentinel> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        sentinel.listeners.delete(socket);
      });
      socket.setEncoding('utf8').on('data', (text: string) => void sentinel.hear(socket, text, masterPort));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    const sentinel = new ScriptedSentinel(server, address.port, sockets);
    return sentinel;
  }

  /** As a Sentinel does once another master was chosen. */
  tellFailover(): void {
    for (const socket of this.listeners) socket.write(list('message', '+switch-master', 'main'));
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  /** A client sends its commands one by one, or several in one piece: each is a list of words. */
  private async hear(socket: Socket, text: string, masterPort: number): Promise<void> {
    for (const command of text.split(/\*\d+\r\n/).slice(1)) {
      const words = command.split('\r\n').filter((word) => word !== '' && !word.startsWith('$'));
      const [name = '', what = ''] = words.map((word) => word.toLowerCase());
      if (name === 'subscribe') {
        this.listeners.add(socket);
        socket.write(`*3\r\n${bulk('subscribe')}${bulk(what)}:1\r\n`);
      } else if (what === 'get-master-addr-by-name') {
        await this.beforeAnswer();
        socket.write(list('127.0.0.1', String(masterPort)));
      } else if (what === 'sentinels') socket.write('*0\r\n');
      else socket.write(`-ERR unknown command '${name.toUpperCase()}'\r\n`);
    }
  }
}
