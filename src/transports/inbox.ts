/**
 * What a stream's client sends, strictly in order: one frame is handled to its end before the next begins. Counts what
 * could be a flood, and stops reading the socket until the client is known, and while frames wait or answers pile up.
 */
import type { WebSocket } from 'ws';
import { limits } from '../../schema/codes.ts';
import type { Holder } from '../async/bytes-in-flight.ts';
import type { Clock } from '../clock.ts';

// What may wait for its turn before the socket is no longer read. The chunk that was read last is handled to its end.
const maxWaiting = 64;
const maxWaitingBytes = limits.frameBytes;
const windowS = limits.controlWindowMs / 1000;

export class Inbox {
  private waiting: string[] = [];
  private waitingBytes = 0;
  private isHandling = false;
  private isHeld = true;
  private countedSecond = 0;
  private readonly framesBySecond: number[] = Array.from({ length: windowS }, () => 0);

  /**
   * Nothing is read before `release`.
   * @param holder counts the frames that wait
   * @param handle must not reject.
   */
  constructor(
    private readonly ws: WebSocket,
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly outbox: { readonly hasRoom: boolean },
    private readonly holder: Pick<Holder, 'set'>,
    private readonly handle: (text: string) => Promise<void> | undefined,
  ) {
    // Anybody can open a socket, and an auth server may be slow to say who did.
    ws.pause();
  }

  push(text: string): void {
    this.waiting.push(text);
    this.waitingBytes += text.length;
    if (!this.isHeld && !this.isHandling) {
      void this.run();
      return;
    }
    this.holder.set('frames', this.waitingBytes);
    if (this.isFull && !this.ws.isPaused) this.ws.pause();
  }

  /** True where this control frame is one too many of its last ten seconds (counted by whole seconds). */
  isFlood(): boolean {
    const second = Math.floor(this.clock.monotonic() / 1000);
    const passed = Math.min(windowS, second - this.countedSecond);
    for (let step = 1; step <= passed; step += 1)
      this.framesBySecond[(this.countedSecond + step) % windowS] = 0;
    this.countedSecond = Math.max(this.countedSecond, second);
    const place = second % windowS;
    this.framesBySecond[place] = (this.framesBySecond[place] ?? 0) + 1;
    const frames = this.framesBySecond.reduce((sum, count) => sum + count, 0);
    return frames > limits.controlFramesPerWindow;
  }

  /** The client is known: what came meanwhile is handled, then what comes. */
  release(): void {
    this.isHeld = false;
    this.resume();
  }

  /** The socket has drained: read on, if that was why it stopped. */
  resume(): void {
    if (!this.isHeld && !this.isHandling) void this.run();
  }

  close(): void {
    this.isHeld = true;
    this.waiting = [];
    this.waitingBytes = 0;
    this.holder.set('frames', 0);
    if (this.ws.isPaused) this.ws.resume();
  }

  private get isFull(): boolean {
    return this.waiting.length > maxWaiting || this.waitingBytes > maxWaitingBytes;
  }

  private async run(): Promise<void> {
    this.isHandling = true;
    while (!this.isHeld && this.outbox.hasRoom) {
      const text = this.waiting.shift();
      if (text === undefined) break;
      this.waitingBytes -= text.length;
      const underway = this.handle(text);
      if (underway !== undefined) await underway;
    }
    this.isHandling = false;
    this.holder.set('frames', this.waitingBytes);
    const isStuck = this.isFull || (!this.isHeld && !this.outbox.hasRoom);
    if (isStuck && !this.ws.isPaused) this.ws.pause();
    if (!isStuck && this.ws.isPaused) this.ws.resume();
  }
}
