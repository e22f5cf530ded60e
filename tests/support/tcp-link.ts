/** A TCP link that a test can cut and mend: real outages for one side, while the server behind it lives on for others. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpLink {
  readonly port: number;
  private readonly server: Server;
  private readonly sockets: Set<Socket>;
  private readonly gate: { isCut: boolean };

  private constructor(server: Server, port: number, sockets: Set<Socket>, gate: { isCut: boolean }) {
    this.server = server;
    this.port = port;
    this.sockets = sockets;
    this.gate = gate;
  }

  /** A link on a free port to `target` on loopback. */
  static async open(target: number): Promise<TcpLink> {
    const sockets = new Set<Socket>();
    const gate = { isCut: false };
    const server = createServer((near) => {
      if (gate.isCut) return void near.destroy();
      const far = connect(target, '127.0.0.1');
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.pipe(other);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
      }
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    return new TcpLink(server, address.port, sockets, gate);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Ends every connection and refuses new ones. */
  cut(): void {
    this.gate.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  mend(): void {
    this.gate.isCut = false;
  }

  close(): void {
    this.cut();
    this.server.close();
  }
}
