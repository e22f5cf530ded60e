/**
 * One wheel for every deadline of the connections: hand-shakes, pings, expiries, held polls. A timer a socket would be
 * thousands of timers; this is one interval and a bucket a slot. Also tells when the node itself stalled.
 */
import { type OnFault, runEach, uncaught } from '../async/faults.ts';
import { Slice } from '../async/slices.ts';
import type { Cancel, Clock } from '../clock.ts';

// Deadlines are met up to one slot late, never early; later only where thousands fall due in one slot.
const slotMs = 50;
const keptStalls = 32;

export class Wheel {
  private readonly slots = new Map<number, Set<() => void>>();
  /** Slots whose time has come, with what is still to be run of them. */
  private due: Iterator<() => void>[] = [];
  private cancelRest: Cancel = () => undefined;
  private next: number;
  private lastTickMs: number;
  private readonly stalls: { atMs: number; ms: number }[] = [];
  private readonly stop: Cancel;

  constructor(
    private readonly clock: Clock,
    private readonly onFault: OnFault = uncaught,
  ) {
    this.lastTickMs = clock.monotonic();
    this.next = Math.floor(this.lastTickMs / slotMs) + 1;
    this.stop = clock.every(slotMs, () => this.turn());
  }

  /** Runs once, `ms` from now or up to a slot later. */
  after(ms: number, run: () => void): Cancel {
    const slot = Math.max(this.next, Math.ceil((this.clock.monotonic() + ms) / slotMs));
    const due = this.slots.get(slot) ?? new Set();
    this.slots.set(slot, due.add(run));
    return () => {
      due.delete(run);
      if (due.size === 0 && this.slots.get(slot) === due) this.slots.delete(slot);
    };
  }

  /** The longest that the event loop stood still at a time since `sinceMs` (monotonic), milliseconds. */
  longestStallMs(sinceMs: number): number {
    let longest = 0;
    for (const stall of this.stalls) if (stall.atMs >= sinceMs) longest = Math.max(longest, stall.ms);
    return longest;
  }

  close(): void {
    this.stop();
    this.cancelRest();
    this.due = [];
    this.slots.clear();
  }

  private turn(): void {
    const now = this.clock.monotonic();
    const late = now - this.lastTickMs - slotMs;
    this.lastTickMs = now;
    if (late > 2 * slotMs) {
      this.stalls.push({ atMs: now, ms: late });
      if (this.stalls.length > keptStalls) this.stalls.shift();
    }
    const upTo = Math.floor(now / slotMs);
    while (this.next <= upTo) {
      const slot = this.next;
      // First, so that what these plan for now has a slot that is still to come.
      this.next += 1;
      const due = this.slots.get(slot);
      this.slots.delete(slot);
      if (due !== undefined) this.due.push(due.values());
    }
    this.runDue();
  }

  /** Tokens of thousands may end in one slot: what a slice leaves is run when the event loop has turned. */
  private runDue(): void {
    this.cancelRest();
    const slice = new Slice(this.clock);
    for (let [due] = this.due; due !== undefined; [due] = this.due) {
      if (!slice.takes()) {
        this.cancelRest = this.clock.after(0, () => this.runDue());
        return;
      }
      const next = due.next();
      if (next.done === true) this.due.shift();
      else runEach([next.value], 'timer', this.onFault);
    }
  }
}
