/** Runs one operation that many ask for: one run at a time, so many a second at most; a call past that gets the next run. */
import { type Clock, pause } from '../clock.ts';

export class PacedRuns {
  private running: Promise<void> | undefined;
  private coming: Promise<void> | undefined;
  private beganMs = Number.NEGATIVE_INFINITY;

  /** @param operation never rejects */
  constructor(
    private readonly clock: Clock,
    private readonly everyMs: number,
    private readonly operation: () => Promise<void>,
  ) {}

  /** Resolves after a run that began after this call. */
  next(): Promise<void> {
    this.coming ??= this.begin();
    return this.coming;
  }

  /** The same, unless the run that is under way was enough. */
  async until(isEnough: () => boolean): Promise<void> {
    if (this.running !== undefined) await this.running;
    if (!isEnough()) await this.next();
  }

  private async begin(): Promise<void> {
    // A call in this very turn joins; `coming` is set by then, also where nothing has to be waited for.
    await this.running;
    const waitMs = this.beganMs + this.everyMs - this.clock.monotonic();
    if (waitMs > 0) await pause(this.clock, waitMs);
    this.coming = undefined;
    this.beganMs = this.clock.monotonic();
    this.running = this.operation();
    await this.running;
    this.running = undefined;
  }
}
