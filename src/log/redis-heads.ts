/**
 * Compares the heads of live orgs with what their tails heard last: an org that went quiet hides what was missed. All of
 * them within a minute while all is well, within a second after a reconnect, never in one burst.
 */
import { backoffMs } from '../async/retry.ts';
import { type Cancel, type Clock, pause } from '../clock.ts';
import { isSamePlace, type Position } from './cursor.ts';
import type { TailMessage } from './event-log.ts';

/** An org with a tail, as far as its head is concerned. */
export interface HeardOrg {
  readonly org: string;
  /** The place after the last message, or the head when the tail was opened; undefined while neither is known. */
  heard: Position | undefined;
  /** While a comparison runs: every place that was heard meanwhile. */
  places: Position[] | undefined;
  /** Comparisons that failed in a row. */
  failures: number;
  readonly tell: (message: TailMessage) => void;
}

export interface HeadChecksOptions {
  readonly clock: Clock;
  /** The org's head in Redis; undefined where it has no log. */
  readonly keep: (org: string) => Promise<Position | undefined>;
  /** False while asking would only fail: what is due waits. */
  readonly isReady: () => boolean;
  readonly onError: (error: unknown, org: string) => void;
}

const roundTicks = 60;
const stepMs = 100;
const stepsOfReconnect = 10;
// One org's head may fail for ever while the log is up.
const backoff = { firstMs: 200, maxMs: 10_000 };
// A message may be on its way while the head is told on another connection.
const graceMs = 500;

export class HeadChecks {
  /** In the order to be compared: the longest ago first. */
  private readonly round = new Set<HeardOrg>();
  private readonly due = new Set<HeardOrg>();
  /** How many of `due` a step takes. */
  private share = 1;
  private readonly stopSteps: Cancel;

  constructor(private readonly options: HeadChecksOptions) {
    this.stopSteps = options.clock.every(stepMs, () => this.step());
  }

  add(org: HeardOrg): void {
    this.round.add(org);
  }

  /** Nobody listens any more. */
  remove(org: HeardOrg): void {
    this.round.delete(org);
    this.due.delete(org);
  }

  /** Something may have been missed. */
  checkSoon(org: HeardOrg): void {
    this.due.add(org);
    this.share = Math.max(this.share, Math.ceil(this.due.size / stepsOfReconnect));
  }

  /** Once a second: a sixtieth of the round. */
  tick(): void {
    let left = Math.ceil(this.round.size / roundTicks);
    for (const org of this.round) {
      if (left === 0) break;
      left -= 1;
      this.round.delete(org);
      this.round.add(org);
      this.due.add(org);
    }
  }

  close(): void {
    this.stopSteps();
    this.due.clear();
    this.round.clear();
  }

  private step(): void {
    if (this.due.size === 0 || !this.options.isReady()) return;
    const some = [...this.due].slice(0, Math.max(this.share, Math.ceil(this.due.size / stepsOfReconnect)));
    for (const org of some) {
      this.due.delete(org);
      void this.check(org);
    }
    if (this.due.size === 0) this.share = 1;
  }

  private async check(org: HeardOrg): Promise<void> {
    if (org.places !== undefined) {
      // What made it due may be younger than the head that is being told.
      this.checkSoon(org);
      return;
    }
    org.places = org.heard === undefined ? [] : [org.heard];
    const { places } = org;
    try {
      const head = await this.options.keep(org.org);
      org.failures = 0;
      if (!includes(places, head)) await pause(this.options.clock, graceMs);
      // Told only if nothing that was heard, before or since, is where the log stands.
      if (this.round.has(org) && !includes(places, head)) {
        org.heard = head;
        org.tell({ kind: 'interrupted' });
      }
    } catch (error) {
      const { clock, onError } = this.options;
      onError(error, org.org);
      clock.after(backoffMs(org.failures, backoff, clock), () => {
        if (this.round.has(org)) this.checkSoon(org);
      });
      org.failures += 1;
    } finally {
      org.places = undefined;
    }
  }
}

const includes = (places: readonly Position[], head: Position | undefined): boolean =>
  head !== undefined && places.some((place) => isSamePlace(place, head));
