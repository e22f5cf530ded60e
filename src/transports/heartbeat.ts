/**
 * The heart-beat of one stream: a ping each round, and the verdict on a peer that shows no life. A round in which this
 * node itself stalled says nothing about the peer.
 */
import type { Cancel } from '../clock.ts';
import type { StreamDeps } from './deps.ts';

const silentRoundsToDie = 2;

/** The stream whose heart beats. */
interface Peer {
  /** Any figure that changes when the peer is heard or its socket drains. */
  progress(): number;
  ping(): void;
  dead(): void;
}

export class Heartbeat {
  private cancel: Cancel = () => undefined;
  private silentRounds = 0;
  private lastProgress = 0;
  private roundStartMs = 0;

  constructor(
    private readonly deps: Pick<StreamDeps, 'wheel' | 'clock' | 'pingMs'>,
    private readonly peer: Peer,
  ) {}

  start(): void {
    this.lastProgress = this.peer.progress();
    this.schedule();
  }

  stop(): void {
    this.cancel();
  }

  private schedule(): void {
    this.roundStartMs = this.deps.clock.monotonic();
    this.cancel = this.deps.wheel.after(this.deps.pingMs, () => this.round());
  }

  private round(): void {
    const { deps, peer } = this;
    const progress = peer.progress();
    const hasStalled = deps.wheel.longestStallMs(this.roundStartMs) > deps.pingMs / 2;
    if (progress !== this.lastProgress) this.silentRounds = 0;
    else if (!hasStalled) this.silentRounds += 1;
    this.lastProgress = progress;
    if (this.silentRounds >= silentRoundsToDie) {
      peer.dead();
      return;
    }
    this.schedule();
    peer.ping();
  }
}
