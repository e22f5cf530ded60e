/**
 * The heart-beat of one stream: a ping each round, and the verdict on a peer that shows no life. A round in which this
 * node itself stalled says nothing about the peer.
 */
import type { Cancel, Clock } from '../clock.ts';
import type { Wheel } from './wheel.ts';

const silentRoundsToDie = 2;

export interface HeartbeatOptions {
  readonly wheel: Wheel;
  readonly clock: Clock;
  readonly pingMs: number;
  /** Any figure that changes when the peer is heard or its socket drains. */
  progress(): number;
  ping(): void;
  dead(): void;
}

export class Heartbeat {
  private readonly options: HeartbeatOptions;
  private cancel: Cancel = () => undefined;
  private silentRounds = 0;
  private lastProgress = 0;
  private roundStartMs = 0;

  constructor(options: HeartbeatOptions) {
    this.options = options;
  }

  start(): void {
    this.lastProgress = this.options.progress();
    this.schedule();
  }

  stop(): void {
    this.cancel();
  }

  private schedule(): void {
    this.roundStartMs = this.options.clock.monotonic();
    this.cancel = this.options.wheel.after(this.options.pingMs, () => this.round());
  }

  private round(): void {
    const { options } = this;
    const progress = options.progress();
    const hasStalled = options.wheel.longestStallMs(this.roundStartMs) > options.pingMs / 2;
    if (progress !== this.lastProgress) this.silentRounds = 0;
    else if (!hasStalled) this.silentRounds += 1;
    this.lastProgress = progress;
    if (this.silentRounds >= silentRoundsToDie) {
      options.dead();
      return;
    }
    this.schedule();
    options.ping();
  }
}
