/**
 * Many WebSocket clients in one process, each of which knows what it has received: events out of order, missing or twice are
 * counted where they happen.
 */
import type { Histogram } from 'hdr-histogram-js';
import { type Delivered, FrameMemo, parseStreamFrame } from './frame-memo.ts';
import { FrameSocket } from './frame-socket.ts';

export interface SwarmOptions {
  readonly url: string;
  readonly clients: number;
  readonly path: (client: number) => string;
  /** Sent at once, in this order. */
  readonly hello: readonly string[];
  /** True for the text that says a client is in; none is asked where `hello` is empty. */
  readonly isWelcome: (text: string) => boolean;
  readonly offersDeflate?: boolean;
  readonly parse?: (text: string) => Delivered;
  /** The frames can't be read without a state for each client: each counts as one event, in order. */
  readonly countsFramesOnly?: boolean;
  /** Publish to receive, microseconds: the oldest event of each frame. */
  readonly latency: Histogram;
}

/** What whoever runs the load can do about it, by close code. */
const remedies: Readonly<Record<number, string>> = {
  4410: ": the target's rollout keeps this user on long-poll; for the run `turnout rollout set 100 --reason load` there (and see `turnout rollout get`)",
};

/** Connects so many at a time: a storm is the bench `accepts`' subject, not this one's. */
const connectAtOnce = 100;

export class Swarm {
  /** Events received, all clients together. */
  deliveries = 0;
  /** Events that did not follow their client's last one. */
  misplaced = 0;
  readonly closes: number[] = [];
  readonly latency: Histogram;
  private readonly options: SwarmOptions;
  private readonly memo: FrameMemo;
  private readonly sockets: FrameSocket[] = [];
  private readonly last: Float64Array;
  private isClosing = false;

  private constructor(options: SwarmOptions) {
    this.options = options;
    this.latency = options.latency;
    this.memo = new FrameMemo(options.parse ?? parseStreamFrame);
    this.last = new Float64Array(options.clients).fill(-1);
  }

  /** All connected and welcomed. */
  static async open(options: SwarmOptions): Promise<Swarm> {
    const swarm = new Swarm(options);
    for (let from = 0; from < options.clients; from += connectAtOnce) {
      const to = Math.min(from + connectAtOnce, options.clients);
      await Promise.all(Array.from({ length: to - from }, (_, index) => swarm.join(from + index)));
    }
    return swarm;
  }

  /** How many clients' last event is `seq`. */
  at(seq: number): number {
    return this.last.reduce((count, last) => count + (last === seq ? 1 : 0), 0);
  }

  close(): void {
    this.isClosing = true;
    for (const socket of this.sockets) socket.close();
  }

  /** Resolves once the client has been welcomed. */
  private join(client: number): Promise<void> {
    const { url, path, hello, isWelcome, offersDeflate = false } = this.options;
    return new Promise((resolve, reject) => {
      let isIn = hello.length === 0;
      const opening = FrameSocket.open({
        url,
        path: path(client),
        offersDeflate,
        onText: (payload, isCompressed) => {
          if (isIn) this.take(client, payload, isCompressed);
          else if (isWelcome(payload.toString())) {
            isIn = true;
            resolve();
          }
        },
        onClose: (code) => {
          if (!this.isClosing) this.closes.push(code);
          reject(new Error(`closed with ${code} before it was welcomed${remedies[code] ?? ''}`));
        },
      });
      void opening.then((socket) => this.greet(socket, hello)).catch(reject);
      if (isIn) void opening.then(() => resolve());
    });
  }

  private greet(socket: FrameSocket, hello: readonly string[]): void {
    this.sockets.push(socket);
    for (const text of hello) socket.sendText(text);
  }

  private take(client: number, payload: Buffer, isCompressed: boolean): void {
    if (this.options.countsFramesOnly) {
      this.last[client] = Math.max(0, this.last[client] ?? 0) + 1;
      this.deliveries += 1;
      return;
    }
    const { seqs, sentMs } = this.memo.read(payload, isCompressed);
    const [first] = seqs;
    const [oldestMs] = sentMs;
    if (first === undefined || oldestMs === undefined) return;
    const known = this.last[client] ?? -1;
    // Whoever joins an empty log begins with whatever comes first.
    if (known >= 0 && first !== known + 1) this.misplaced += 1;
    this.last[client] = seqs.at(-1) ?? first;
    this.deliveries += seqs.length;
    this.latency.recordValue(Math.max(1, Math.round((performance.now() - oldestMs) * 1000)));
  }
}
