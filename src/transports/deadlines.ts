/** What ends a stream by time alone: no first frame, its token's end, the end of the time that it had to move. */
import { type CloseCode, limits } from '../../schema/codes.ts';
import type { Cancel, Clock } from '../clock.ts';
import type { StreamDeps } from './stream-deps.ts';

export class Deadlines {
  private readonly wheel: StreamDeps['wheel'];
  private readonly clock: Clock;
  private readonly end: (code: CloseCode) => void;
  private readonly cancelHandshake: Cancel;
  private cancelExpiry: Cancel = () => undefined;
  private cancelMove: Cancel = () => undefined;

  constructor({ wheel, clock }: Pick<StreamDeps, 'wheel' | 'clock'>, end: (code: CloseCode) => void) {
    this.wheel = wheel;
    this.clock = clock;
    this.end = end;
    this.cancelHandshake = wheel.after(limits.handshakeMs, () => end('handshake_timeout'));
  }

  /** The first frame came. */
  shookHands(): void {
    this.cancelHandshake();
  }

  /** The token, or the one that it was renewed by, ends then. */
  expireAt(atMs: number): void {
    this.cancelExpiry();
    const leftMs = atMs - this.clock.now();
    this.cancelExpiry = this.wheel.after(Math.max(0, leftMs), () => this.end('unauthorized'));
  }

  moveWithin(ms: number): void {
    this.cancelMove = this.wheel.after(ms, () => this.end('moved'));
  }

  stop(): void {
    this.cancelHandshake();
    this.cancelExpiry();
    this.cancelMove();
  }
}
