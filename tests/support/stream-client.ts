/** A WebSocket client that a test drives: every frame kept as it came, nothing answered but what the test sends. */
import { WebSocket } from 'ws';
import type { ServerFrame } from '../../schema/frames.ts';
import type { Envelope } from '../../schema/envelope.ts';
import { until } from './until.ts';
import { type WireFrame, tapFrames } from './wire-tap.ts';

export type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>;

export interface StreamOptions {
  readonly token?: string | undefined;
  /** More of the query: `access_token`, `ticket`. */
  readonly query?: Readonly<Record<string, string>>;
  /** A whole path with query, such as a negotiation hands out. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A number offers that window (server_max_window_bits). */
  readonly compress?: boolean | number;
  /** Keeps `wire`: costs a second look at every byte. */
  readonly tap?: boolean;
  /** Sent as soon as it is open; undefined sends nothing. */
  readonly first?: unknown;
}

export interface Close {
  readonly code: number;
  readonly reason: string;
}

export class StreamClient {
  readonly frames: ServerFrame[] = [];
  readonly texts: string[] = [];
  /** With `tap`: every frame on the wire, control frames too, in order. */
  readonly wire: WireFrame[] = [];
  wirePings = 0;
  /** What the upgrade was answered with. */
  extensions = '';
  /** Undefined while it is open. */
  closed: Close | undefined;
  onFrame: ((frame: ServerFrame) => void) | undefined;
  readonly socket: WebSocket;

  constructor(url: string, options: StreamOptions) {
    const query = new URLSearchParams(options.query);
    const path = options.path ?? `/v2/realtime/stream${query.size > 0 ? `?${query.toString()}` : ''}`;
    const headers: Record<string, string> = { ...options.headers };
    if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
    this.socket = new WebSocket(url.replace(/^http/, 'ws') + path, {
      headers,
      perMessageDeflate:
        typeof options.compress === 'number'
          ? { serverMaxWindowBits: options.compress, serverNoContextTakeover: true }
          : options.compress === true,
    });
    this.socket.on('upgrade', (answer) => {
      this.extensions = answer.headers['sec-websocket-extensions'] ?? '';
      if (options.tap === true) tapFrames(answer.socket, (frame) => this.wire.push(frame));
    });
    this.socket.on('open', () => {
      if (options.first !== undefined) this.send(options.first);
    });
    this.socket.on('ping', () => {
      this.wirePings += 1;
    });
    this.socket.on('message', (data: Buffer) => {
      const text = data.toString('utf8');
      // Shapes are held to the schema by the tests that are about them.
      const frame = JSON.parse(text) as ServerFrame;
      this.texts.push(text);
      this.frames.push(frame);
      this.onFrame?.(frame);
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    // A cut socket says so twice; `close` is what the tests read.
    this.socket.on('error', () => undefined);
  }

  send(frame: unknown): void {
    this.socket.send(JSON.stringify(frame));
  }

  ofType<T extends ServerFrame['type']>(type: T): FrameOf<T>[] {
    return this.frames.filter((frame): frame is FrameOf<T> => frame.type === type);
  }

  events(): Envelope[] {
    return this.ofType('event').flatMap((frame) => frame.events);
  }

  /** The newest cursor that any frame brought. */
  get cursor(): string | undefined {
    for (let index = this.frames.length - 1; index >= 0; index -= 1) {
      const frame = this.frames[index];
      if (frame !== undefined && 'cursor' in frame) return frame.cursor;
    }
    return undefined;
  }

  /** The `count`th frame of `type`, waited for. @throws when the stream closes first. */
  async next<T extends ServerFrame['type']>(type: T, count = 1): Promise<FrameOf<T>> {
    await until(
      () => this.ofType(type).length >= count || this.closed !== undefined,
      () => `${type} number ${count}; frames: ${this.texts.join(' ').slice(0, 1000)}`,
    );
    const frame = this.ofType(type)[count - 1];
    if (frame === undefined)
      throw new Error(
        `closed with ${this.closed?.code} ${this.closed?.reason} before ${type} number ${count}`,
      );
    return frame;
  }

  async nextClose(): Promise<Close> {
    await until(
      () => this.closed,
      'the close',
      (seen) => seen !== undefined,
    );
    return this.closed ?? { code: 0, reason: '' };
  }

  async nextEvents(count: number): Promise<Envelope[]> {
    await until(
      () => this.events().length >= count || this.closed !== undefined,
      () => `${count} events; there are ${this.events().length}`,
    );
    if (this.events().length < count)
      throw new Error(`closed with ${this.closed?.code} after ${this.events().length} of ${count} events`);
    return this.events();
  }

  /** Stops reading the socket: what the gateway sends piles up in its kernel. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Ends it without a close frame. */
  destroy(): void {
    this.socket.terminate();
  }

  async close(): Promise<void> {
    this.socket.close(1000);
    await this.nextClose();
  }
}

/** Opens a stream with a first frame and waits for its `ack`. */
export async function openStream(
  url: string,
  token: string,
  services: readonly string[],
  first: Readonly<Record<string, unknown>> = {},
  options: StreamOptions = {},
): Promise<StreamClient> {
  const client = new StreamClient(url, { token, ...options, first: { services, version: 1, ...first } });
  await client.next('ack');
  return client;
}
