/**
 * Lets held polls of an old API go where nobody feeds the log any more, or nobody is to be served: the old backend may have
 * had an answer for them for a while. In turns, so that it isn't asked by all of them at once.
 */
import type { Cancel, Clock } from '../../clock.ts';
import { inTurns } from '../../transports/turns.ts';
import type { PollClient } from '../../transports/poll-request.ts';

const lookMs = 250;
const overMs = 1000;

export class LegacyRelease {
  private readonly held = new Set<() => void>();
  private stopLooking: Cancel | undefined;
  private isReleasing = false;

  constructor(
    private readonly mayHold: () => boolean,
    private readonly clock: Clock,
  ) {}

  /** The client as whoever holds its poll should see it: gone, too, once the poll is to be let go. */
  watched(client: PollClient): PollClient {
    const { mayHold } = this;
    return {
      network: client.network,
      // Who waits for the log itself isn't held yet, and looks here.
      get isGone() {
        return client.isGone || !mayHold();
      },
      onGone: (run) => {
        const stop = client.onGone(run);
        this.held.add(run);
        this.stopLooking ??= this.clock.every(lookMs, () => void this.look());
        return () => {
          stop();
          this.held.delete(run);
          if (this.held.size === 0) this.close();
        };
      },
    };
  }

  close(): void {
    this.stopLooking?.();
    this.stopLooking = undefined;
  }

  private async look(): Promise<void> {
    if (this.mayHold() || this.isReleasing) return;
    this.isReleasing = true;
    const release = (run: () => void): void => {
      if (!this.mayHold() && this.held.has(run)) run();
    };
    const isOver = (): boolean => this.mayHold() || this.held.size === 0;
    await inTurns([...this.held], overMs, this.clock, release, isOver).finally(() => {
      this.isReleasing = false;
    });
  }
}
