/**
 * Notices another living node of the same id. Both then write under one name: each one's acknowledgements hide the other's
 * silence, and what one of them is told to do, either may.
 */
import type { Clock } from '../../clock.ts';

/** Twins that both report each second are seen again well within this. */
const goneMs = 5000;

export class TwinWatch {
  /** Of this process alone: one that was started again is another. */
  readonly run: string;
  private hasReported = false;
  private seenMs: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly onChange: (isThere: boolean) => void,
  ) {
    this.run = clock.id();
  }

  get isThere(): boolean {
    return this.seenMs !== undefined;
  }

  /** @param before the run that stood under this node's id when it reported; undefined: none, or an older release's */
  reported(before: string | undefined): void {
    const nowMs = this.clock.monotonic();
    // What stands there at the first report is an earlier run's, which may have ended.
    const isTwin = this.hasReported && before !== undefined && before !== this.run;
    this.hasReported = true;
    const wasThere = this.isThere;
    if (isTwin) this.seenMs = nowMs;
    else if (this.seenMs !== undefined && nowMs - this.seenMs > goneMs) this.seenMs = undefined;
    if (this.isThere !== wasThere) this.onChange(this.isThere);
  }
}
