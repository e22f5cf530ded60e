/** A TCP proxy before a Redis: it can cut connections, and make those that subscribe deaf without their noticing. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class RedisProxy {
  readonly url: string;
  private readonly server: Server;
  private readonly sockets: Set<Socket>;
  private readonly subscribers: Set<Socket>;
  private isDeaf = false;

  private constructor(server: Server, port: number, sockets: Set<Socket>, subscribers: Set<Socket>) {
    this.server = server;
    this.sockets = sockets;
    this.subscribers = subscribers;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(targetPort: number): Promise<RedisProxy> {
    const sockets = new Set<Socket>();
    const subscribers = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(targetPort, '127.0.0.1');
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          other.destroy();
          sockets.delete(socket);
          subscribers.delete(near);
        });
      }
      near.on('data', (data: Buffer) => {
        if (/\r\ns?subscribe\r\n/i.test(data.toString('latin1'))) subscribers.add(near);
        far.write(data);
      });
      far.on('data', (data: Buffer) => {
        if (!(proxy.isDeaf && subscribers.has(near))) near.write(data);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    const proxy = new RedisProxy(server, address.port, sockets, subscribers);
    return proxy;
  }

  /** Connections that subscribe now hear nothing any more; those made from now on are sound. */
  deafen(): void {
    this.isDeaf = true;
  }

  /** What is subscribed anew is heard. */
  heal(): void {
    this.isDeaf = false;
  }

  get subscriberCount(): number {
    return this.subscribers.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
