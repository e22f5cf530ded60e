/**
 * One kept-alive HTTP/1.1 connection for one request at a time, on a bare socket: a thousand of them cost the load's core
 * less than the server's answers cost the server's.
 */
import { connect, type Socket } from 'node:net';

export interface WireAnswer {
  readonly status: number;
  /** The status line and the headers, as they came. */
  readonly head: string;
  readonly body: Buffer;
  /** When its last byte was read, `performance.now()`. */
  readonly atMs: number;
}

const headEnd = Buffer.from('\r\n\r\n');
const lastChunk = Buffer.from('0\r\n\r\n');
const none = Buffer.alloc(0);

interface Waiting {
  resolve(answer: WireAnswer): void;
  reject(error: Error): void;
}

export class HttpWire {
  private readonly socket: Socket;
  private rest: Buffer = none;
  private waiting: Waiting | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.read(bytes));
    // A reset is told by the close that follows it.
    socket.on('error', () => undefined);
    socket.on('close', () => this.settle()?.reject(new Error('the connection was closed')));
  }

  static open(url: string): Promise<HttpWire> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      socket.once('error', reject);
      socket.once('connect', () => resolve(new HttpWire(socket)));
    });
  }

  get isOpen(): boolean {
    return this.socket.writable;
  }

  /** @param request head and body, as `httpRequest` writes them. */
  send(request: string): Promise<WireAnswer> {
    if (!this.isOpen) return Promise.reject(new Error('the connection was closed'));
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(request);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private settle(): Waiting | undefined {
    const { waiting } = this;
    this.waiting = undefined;
    return waiting;
  }

  private read(bytes: Buffer): void {
    this.rest = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    const headBytes = this.rest.indexOf(headEnd);
    if (headBytes < 0) return;
    const head = this.rest.toString('latin1', 0, headBytes);
    const start = headBytes + headEnd.length;
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    const body =
      length === undefined ? this.chunkedBody(start) : this.rest.subarray(start, start + Number(length));
    if (body === undefined || (length !== undefined && body.length < Number(length))) return;
    this.rest = none;
    const status = Number(head.slice(9, 12));
    this.settle()?.resolve({ status, head, body, atMs: performance.now() });
  }

  private chunkedBody(start: number): Buffer | undefined {
    if (!this.rest.subarray(-lastChunk.length).equals(lastChunk)) return undefined;
    const chunks: Buffer[] = [];
    for (let at = start; ; ) {
      const lineEnd = this.rest.indexOf('\r\n', at);
      const size = Number.parseInt(this.rest.toString('latin1', at, lineEnd), 16);
      if (!(size > 0)) return Buffer.concat(chunks);
      chunks.push(this.rest.subarray(lineEnd + 2, lineEnd + 2 + size));
      at = lineEnd + 2 + size + 2;
    }
  }
}

export function httpRequest(method: 'GET' | 'POST', path: string, token: string, body?: string): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${token}\r\n`;
  if (body === undefined) return `${head}\r\n`;
  const length = Buffer.byteLength(body);
  return `${head}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;
}
