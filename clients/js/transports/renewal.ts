/**
 * Keeps one stream's token fresh: asks for another before it ends, and shows that in place. Where none comes, or it is
 * refused, the old one stands until its end and the stream is closed with 4401, as without this.
 */
import type { Cancel, ClientClock } from '../environment.ts';
import { expiryMs } from '../token.ts';

export interface RenewalParts {
  readonly clock: ClientClock;
  /** The application's next token. May reject. */
  freshToken(): Promise<string>;
  /** Shows it to the gateway, which answers in its turn. */
  show(token: string): void;
}

// So long before its end a token is renewed, or at half of what it has where that is less.
const leadMs = 60_000;
// Not everybody at the same distance: tokens of one login page end together.
const spread = 0.2;
// With less than this left, what is asked again would come too late.
const shortestRetryMs = 500;
// Timers hold 31 bits of milliseconds.
const longestTimerMs = 24 * 60 * 60_000;

export class Renewal {
  private readonly parts: RenewalParts;
  /** What the gateway knows. */
  private token: string;
  private shown: string | undefined;
  private endMs = 0;
  private cancelTimer: Cancel = () => undefined;
  private isStopped = false;

  constructor(parts: RenewalParts, token: string) {
    this.parts = parts;
    this.token = token;
  }

  /** The gateway took the token. @param timestamp the gateway's time then: the client's own clock may be wrong. */
  begin(timestamp: string): void {
    this.cancelTimer();
    const leftMs = (expiryMs(this.token) ?? Number.NaN) - Date.parse(timestamp);
    if (this.isStopped || !(leftMs > 0)) return;
    const { clock } = this.parts;
    this.endMs = clock.now() + leftMs;
    this.wait(leftMs - Math.min(leadMs, leftMs / 2) * (1 - spread * clock.random()));
  }

  /** The gateway answered what it was shown. @param timestamp its time, where it took it. @returns the token then. */
  answered(timestamp: string | undefined): string | undefined {
    const { shown } = this;
    this.shown = undefined;
    if (shown === undefined || timestamp === undefined) return undefined;
    this.token = shown;
    this.begin(timestamp);
    return shown;
  }

  stop(): void {
    this.isStopped = true;
    this.cancelTimer();
  }

  private wait(ms: number): void {
    const { clock } = this.parts;
    this.cancelTimer =
      ms > longestTimerMs
        ? clock.after(longestTimerMs, () => this.wait(ms - longestTimerMs))
        : clock.after(ms, () => void this.renew());
  }

  /** Never rejects. */
  private async renew(): Promise<void> {
    const { clock } = this.parts;
    // Again at half of what is left, until this one has been taken.
    const retryMs = (this.endMs - clock.now()) / 2;
    if (retryMs >= shortestRetryMs) this.wait(retryMs);
    const token = await this.parts.freshToken().catch(() => undefined);
    // An application may hand out the one that it keeps, until that has ended.
    if (this.isStopped || token === undefined || token === this.token) return;
    this.shown = token;
    this.parts.show(token);
  }
}
