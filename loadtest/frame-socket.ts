/**
 * A WebSocket client on a bare socket: it upgrades, sends masked text, and hands over each frame's bytes unread, so that one
 * process can take in what a gateway sends to thousands. It trusts its server: no accept hash, no UTF-8 check.
 */
import { createConnection, type Socket } from 'node:net';

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
// One buffer for all sockets: each read is done with before the next. Node would allocate 64 KiB for every one of them.
const readBuffer = Buffer.allocUnsafe(256 * 1024);
const opcode = { text: 1, close: 8, ping: 9, pong: 10 } as const;

export class FrameSocket {
  private readonly socket: Socket;
  private readonly options: FrameSocketOptions;
  private readonly onUpgrade: (refusal: string | undefined) => void;
  private rest: Buffer = none;
  private isUpgraded = false;
  private closeCode = 1006;

  private constructor(options: FrameSocketOptions, onUpgrade: FrameSocket['onUpgrade']) {
    this.options = options;
    this.onUpgrade = onUpgrade;
    const { hostname, port } = new URL(options.url);
    const callback = (size: number): boolean => {
      this.read(readBuffer.subarray(0, size));
      return true;
    };
    this.socket = createConnection({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: { buffer: readBuffer, callback },
    });
    this.socket.on('connect', () => this.socket.write(this.upgradeRequest()));
    // A reset is told by the close that follows it.
    this.socket.on('error', (error) => onUpgrade(error.message));
    this.socket.on('close', () => {
      onUpgrade('closed before the upgrade');
      options.onClose?.(this.closeCode);
    });
  }

  /** Resolves once the server has answered 101. @throws where it answers anything else. */
  static open(options: FrameSocketOptions): Promise<FrameSocket> {
    return new Promise((resolve, reject) => {
      const opened = new FrameSocket(options, (refusal) => {
        if (refusal === undefined) resolve(opened);
        else reject(new Error(refusal));
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

  private read(bytes: Buffer): void {
    let rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    if (!this.isUpgraded) rest = this.readUpgrade(rest);
    // Copied: the next read, of whichever socket, overwrites the buffer.
    const left = this.isUpgraded ? this.readFrames(rest) : rest;
    this.rest = left.length === 0 ? none : Buffer.from(left);
  }

  /** @returns what follows the answer's head. */
  private readUpgrade(rest: Buffer): Buffer {
    const end = rest.indexOf(headEnd);
    if (end < 0) return rest;
    const status = rest.toString('latin1', 0, rest.indexOf('\r\n'));
    this.isUpgraded = status.startsWith('HTTP/1.1 101');
    this.onUpgrade(this.isUpgraded ? undefined : status);
    return rest.subarray(end + headEnd.length);
  }

  /** @returns the beginning of a frame that is still to come. */
  private readFrames(rest: Buffer): Buffer {
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
    return rest.subarray(at);
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
