/**
 * Where each move of this node stands: sessions that wait for their moment, by slots of time (one list a node and no timer a
 * session), those that a pause holds, those that were told and are still here. Counts them as they come and go.
 */
import type { Transport } from '../../../schema/frames.ts';
import type { MovableSession } from './sessions.ts';

/** Moments are met up to a slot late, never early. */
export const slotMs = 20;

interface MoveProgress {
  readonly from: Transport;
  readonly to: Transport;
  readonly done: number;
  readonly left: number;
  /**
   * When the last of them will be there at the latest, Unix milliseconds by the store's clock; undefined while a pause holds
   * any.
   */
  readonly endsAtMs: number | undefined;
}

/** The moves from one transport. */
class Direction {
  waiting = 0;
  readonly held = new Set<MovableSession>();
  readonly leaving = new Set<MovableSession>();
  done = 0;
  /** The latest moment of any that has waited since nobody did. */
  private lastDueMs = 0;
  /** The same of those that were told: when each is closed at the latest. */
  private lastEndMs = 0;

  get left(): number {
    return this.waiting + this.leaving.size + this.held.size;
  }

  waits(dueMs: number): void {
    this.lastDueMs = this.waiting === 0 ? dueMs : Math.max(this.lastDueMs, dueMs);
    this.waiting += 1;
  }

  told(session: MovableSession, endsAtMs: number): void {
    this.lastEndMs = this.leaving.size === 0 ? endsAtMs : Math.max(this.lastEndMs, endsAtMs);
    this.leaving.add(session);
  }

  endsAtMs(stayMs: number): number | undefined {
    if (this.held.size > 0) return undefined;
    return Math.max(
      this.waiting > 0 ? this.lastDueMs + stayMs : 0,
      this.leaving.size > 0 ? this.lastEndMs : 0,
    );
  }
}

interface Slot {
  readonly at: number;
  readonly sessions: Set<MovableSession>;
}

export class Schedule {
  private readonly slots = new Map<number, Slot>();
  /** What is still to be taken out of slots whose time has come; begun anew each time, a walk would pass all that is gone. */
  private due: Iterator<MovableSession>[] = [];
  /** Where each waits. */
  private readonly waiting = new Map<MovableSession, Slot>();
  private readonly moves = { websocket: new Direction(), 'long-poll': new Direction() };
  private next: number;

  constructor(nowMs: number) {
    this.next = Math.floor(nowMs / slotMs);
  }

  /** Whether any session waits for its moment. */
  get hasWaiting(): boolean {
    return this.waiting.size > 0;
  }

  /** The rules have changed: forgets the sessions that wait, and begins at `nowMs`. What was done counts on while anything is left. */
  restart(nowMs: number): void {
    const directions = [this.moves.websocket, this.moves['long-poll']];
    const isOver = directions.every(({ left }) => left === 0);
    for (const direction of directions) {
      if (isOver) direction.done = 0;
      direction.waiting = 0;
      direction.held.clear();
    }
    this.slots.clear();
    this.due = [];
    this.waiting.clear();
    this.next = Math.floor(nowMs / slotMs);
  }

  /** A session that waits already waits for the new moment. */
  wait(session: MovableSession, dueMs: number): void {
    this.waitNoMore(session);
    const at = Math.max(this.next, Math.ceil(dueMs / slotMs));
    const slot = this.slots.get(at) ?? { at, sessions: new Set() };
    slot.sessions.add(session);
    this.slots.set(at, slot);
    this.waiting.set(session, slot);
    this.moves[session.transport].waits(at * slotMs);
  }

  hold(session: MovableSession): void {
    this.moves[session.transport].held.add(session);
  }

  told(session: MovableSession, endsAtMs: number): void {
    this.moves[session.transport].told(session, endsAtMs);
  }

  left(session: MovableSession): void {
    this.waitNoMore(session);
    const direction = this.moves[session.transport];
    direction.held.delete(session);
    if (direction.leaving.delete(session)) direction.done += 1;
  }

  /** Takes out one session whose moment has come; undefined where none is left. */
  take(nowMs: number): MovableSession | undefined {
    this.fallDue(Math.floor(nowMs / slotMs));
    for (let [slot] = this.due; slot !== undefined; [slot] = this.due) {
      const taken = slot.next();
      if (taken.done !== true) {
        this.waitNoMore(taken.value);
        return taken.value;
      }
      this.due.shift();
    }
    return undefined;
  }

  /** @param stayMs how long a stream stays after it is told */
  progress(stayMs: number): readonly MoveProgress[] {
    return (['websocket', 'long-poll'] as const).flatMap((from) => {
      const direction = this.moves[from];
      const { done, left } = direction;
      if (left === 0) return [];
      const to = from === 'websocket' ? ('long-poll' as const) : ('websocket' as const);
      return [{ from, to, done, left, endsAtMs: direction.endsAtMs(from === 'websocket' ? stayMs : 0) }];
    });
  }

  /**
   * Moves what is due up to this slot. Visits slots of sessions, never the empty ones in between: there are millions after
   * weeks in which nobody had to wait, and after a clock that was set.
   */
  private fallDue(upTo: number): void {
    if (this.next > upTo) return;
    const numbers =
      upTo - this.next < this.slots.size
        ? Array.from({ length: upTo - this.next + 1 }, (_, at) => this.next + at)
        : [...this.slots.keys()].filter((at) => at <= upTo).toSorted((one, other) => one - other);
    for (const at of numbers) {
      const slot = this.slots.get(at);
      if (slot !== undefined) this.due.push(slot.sessions.values());
      this.slots.delete(at);
    }
    this.next = upTo + 1;
  }

  private waitNoMore(session: MovableSession): void {
    const slot = this.waiting.get(session);
    if (slot === undefined) return;
    this.waiting.delete(session);
    slot.sessions.delete(session);
    if (slot.sessions.size === 0 && this.slots.get(slot.at) === slot) this.slots.delete(slot.at);
    this.moves[session.transport].waiting -= 1;
  }
}
