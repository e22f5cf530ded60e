/** What ends a stream by time: no first frame, its token's end, the end of the time that it had to move. */
import { type CloseCode, limits } from '../../schema/codes.ts';
import type { Cancel, Clock } from '../clock.ts';
import type { Identity } from '../auth/identity.ts';
import { Standing } from './standing.ts';
import type { StreamDeps } from './stream-deps.ts';

export class Deadlines {
  readonly wheel: StreamDeps['wheel'];
  readonly clock: Clock;
  private readonly end: (code: CloseCode) => void;
  private readonly cancelHandshake: Cancel;
  private standing: Standing | undefined;
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

  /** It lasts as long as that token, or the one that it was renewed by, or whoever vouches for the caller. */
  standBy(identity: Identity): void {
    this.standing?.close();
    this.standing = new Standing(this, identity, (code) => this.end(code));
  }

  moveWithin(ms: number): void {
    this.cancelMove = this.wheel.after(ms, () => this.end('moved'));
  }

  stop(): void {
    this.cancelHandshake();
    this.standing?.close();
    this.cancelMove();
  }
}
