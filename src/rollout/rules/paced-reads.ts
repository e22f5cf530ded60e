/** Reads that many ask for and few make: one at a time, so many a second at most; who comes past that gets the next. */
import { type Clock, pause } from '../../clock.ts';

export class PacedReads {
  private readonly clock: Clock;
  private readonly everyMs: number;
  private readonly read: () => Promise<void>;
  private running: Promise<void> | undefined;
  private coming: Promise<void> | undefined;
  private beganMs = Number.NEGATIVE_INFINITY;

  /** @param read never rejects */
  constructor(clock: Clock, everyMs: number, read: () => Promise<void>) {
    this.clock = clock;
    this.everyMs = everyMs;
    this.read = read;
  }

  /** Resolves after a read that began after this call. */
  next(): Promise<void> {
    this.coming ??= this.begin();
    return this.coming;
  }

  /** The same, unless the read that is under way was enough. */
  async until(isEnough: () => boolean): Promise<void> {
    if (this.running !== undefined) await this.running;
    if (!isEnough()) await this.next();
  }

  private async begin(): Promise<void> {
    // Whoever asks in this very turn joins; `coming` is set by then, also where nothing has to be waited for.
    await this.running;
    const waitMs = this.beganMs + this.everyMs - this.clock.monotonic();
    if (waitMs > 0) await pause(this.clock, waitMs);
    this.coming = undefined;
    this.beganMs = this.clock.monotonic();
    this.running = this.read();
    await this.running;
    this.running = undefined;
  }
}
