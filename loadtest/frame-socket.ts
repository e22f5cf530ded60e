/**
 * A WebSocket client on a bare socket: it upgrades, sends masked text, and hands over each frame's bytes unread, so that one
 * process can take in what a gateway sends to thousands. It trusts its server: no accept hash, no UTF-8 check.
 */
import { connect, type Socket } from 'node:net';

export interface FrameSocketOptions {
  /** `http://host:port` of the server. */
  readonly url: string;
  readonly path: string;
  /** Offer permessage-deflate, as browsers do. */
  readonly offersDeflate?: boolean;
  /** A text frame in one piece. `payload` is valid during the call only. */
  readonly onText: (payload: Buffer, isCompressed: boolean) => void;
  /** @param code the peer's close code; 1006 where the socket was cut. */
  readonly onClose?: (code: number) => void;
}

const headEnd = Buffer.from('\r\n\r\n');
const none = Buffer.alloc(0);
const opcode = { text: 1, close: 8, ping: 9, pong: 10 } as const;

export class FrameSocket {
  private readonly socket: Socket;
  private readonly options: FrameSocketOptions;
  private rest: Buffer = none;
  private isUpgraded = false;
  private closeCode = 1006;

  private constructor(socket: Socket, options: FrameSocketOptions) {
    this.socket = socket;
    this.options = options;
  }

  /** Resolves once the server has answered 101. @throws where it answers anything else. */
  static open(options: FrameSocketOptions): Promise<FrameSocket> {
    const { hostname, port } = new URL(options.url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      const wire = new FrameSocket(socket, options);
      socket.setNoDelay(true);
      socket.on('connect', () => socket.write(wire.upgradeRequest()));
      socket.on('data', (bytes) => {
        wire.rest = wire.rest.length === 0 ? bytes : Buffer.concat([wire.rest, bytes]);
        if (!wire.isUpgraded) {
          const refusal = wire.readUpgrade();
          if (refusal !== undefined) reject(new Error(refusal));
          if (!wire.isUpgraded) return;
          resolve(wire);
        }
        wire.readFrames();
      });
      // A reset is told by the close that follows it.
      socket.on('error', reject);
      socket.on('close', () => {
        reject(new Error('closed before the upgrade'));
        options.onClose?.(wire.closeCode);
      });
    });
  }

  sendText(text: string): void {
    this.write(opcode.text, Buffer.from(text));
  }

  /** Stops and goes on reading: a stalled client. */
  pause(): void {
    this.socket.pause();
  }
  resume(): void {
    this.socket.resume();
  }

  close(): void {
    this.socket.destroy();
  }

  private upgradeRequest(): string {
    const { path, offersDeflate } = this.options;
    const extension = offersDeflate
      ? 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n'
      : '';
    return (
      `GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${extension}\r\n`
    );
  }

  /** @returns what the server said where that is no upgrade. */
  private readUpgrade(): string | undefined {
    const end = this.rest.indexOf(headEnd);
    if (end < 0) return undefined;
    const status = this.rest.toString('latin1', 0, this.rest.indexOf('\r\n'));
    if (!status.startsWith('HTTP/1.1 101')) return status;
    this.isUpgraded = true;
    this.rest = this.rest.subarray(end + headEnd.length);
    return undefined;
  }

  private readFrames(): void {
    const { rest } = this;
    let at = 0;
    while (rest.length - at >= 2) {
      const first = rest[at] ?? 0;
      const short = (rest[at + 1] ?? 0) & 0x7f;
      const headerBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (rest.length - at < headerBytes) break;
      const length =
        short < 126 ? short : short === 126 ? rest.readUInt16BE(at + 2) : rest.readUInt32BE(at + 6);
      const start = at + headerBytes;
      if (rest.length < start + length) break;
      this.take(first, rest.subarray(start, start + length));
      at = start + length;
    }
    this.rest = at === rest.length ? none : rest.subarray(at);
  }

  private take(first: number, payload: Buffer): void {
    const kind = first & 0x0f;
    if (kind === opcode.text) this.options.onText(payload, (first & 0x40) !== 0);
    else if (kind === opcode.ping) this.write(opcode.pong, payload);
    else if (kind === opcode.close) {
      if (payload.length >= 2) this.closeCode = payload.readUInt16BE(0);
      this.socket.end();
    }
  }

  /** A client's frames are masked (RFC 6455, 5.3); the mask 0 leaves the bytes as they are. */
  private write(kind: number, payload: Buffer): void {
    const { length } = payload;
    const header = Buffer.alloc(length < 126 ? 6 : 8);
    header[0] = 0x80 | kind;
    header[1] = 0x80 | (length < 126 ? length : 126);
    if (length >= 126) header.writeUInt16BE(length, 2);
    this.socket.write(Buffer.concat([header, payload]));
  }
}
