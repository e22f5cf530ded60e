/**
 * Where each move of this node stands: sessions that wait for their moment, by slots of time (one list a node and no timer a
 * session), those that a pause holds, those that were told and are still here.
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
  /** When the last of them will be there, Unix milliseconds by the store's clock; undefined while a pause holds any. */
  readonly endsAtMs: number | undefined;
}

export class Schedule {
  private readonly slots = new Map<number, Set<MovableSession>>();
  private readonly waiting = new Map<MovableSession, number>();
  private readonly held = new Set<MovableSession>();
  /** Each with when it is closed at the latest. */
  private readonly leaving = new Map<MovableSession, number>();
  private done = { websocket: 0, 'long-poll': 0 };
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
    if (this.waiting.size + this.held.size + this.leaving.size === 0)
      this.done = { websocket: 0, 'long-poll': 0 };
    this.held.clear();
    this.slots.clear();
    this.waiting.clear();
    this.next = Math.floor(nowMs / slotMs);
  }

  /** A session that waits already waits for the new moment. */
  wait(session: MovableSession, dueMs: number): void {
    this.waitNoMore(session);
    const slot = Math.max(this.next, Math.ceil(dueMs / slotMs));
    const others = this.slots.get(slot);
    if (others === undefined) this.slots.set(slot, new Set([session]));
    else others.add(session);
    this.waiting.set(session, slot);
  }

  hold(session: MovableSession): void {
    this.held.add(session);
  }

  told(session: MovableSession, endsAtMs: number): void {
    this.leaving.set(session, endsAtMs);
  }

  left(session: MovableSession): void {
    this.waitNoMore(session);
    this.held.delete(session);
    if (this.leaving.delete(session)) this.done[session.transport] += 1;
  }

  /** Takes out the sessions whose moment has come. */
  take(nowMs: number): MovableSession[] {
    const due: MovableSession[] = [];
    const upTo = Math.floor(nowMs / slotMs);
    for (; this.next <= upTo; this.next += 1) {
      for (const session of this.slots.get(this.next) ?? []) {
        this.waiting.delete(session);
        due.push(session);
      }
      this.slots.delete(this.next);
    }
    return due;
  }

  /** @param stayOf how long a stream stays after it is told, milliseconds: asked of one that waits, and good for all */
  progress(stayOf: (one: MovableSession) => number): readonly MoveProgress[] {
    return (['websocket', 'long-poll'] as const).flatMap((from) => {
      const waiting = [...this.waiting].filter(([{ transport }]) => transport === from);
      const leaving = [...this.leaving].filter(([{ transport }]) => transport === from);
      const held = [...this.held].filter(({ transport }) => transport === from).length;
      const left = waiting.length + leaving.length + held;
      if (left === 0) return [];
      const [one] = waiting;
      const stayMs = one === undefined || from === 'long-poll' ? 0 : stayOf(one[0]);
      let lastMs = 0;
      for (const [, slot] of waiting) lastMs = Math.max(lastMs, slot * slotMs + stayMs);
      for (const [, endsAtMs] of leaving) lastMs = Math.max(lastMs, endsAtMs);
      const to = from === 'websocket' ? ('long-poll' as const) : ('websocket' as const);
      return [{ from, to, done: this.done[from], left, endsAtMs: held > 0 ? undefined : lastMs }];
    });
  }

  private waitNoMore(session: MovableSession): void {
    const slot = this.waiting.get(session);
    if (slot === undefined) return;
    this.waiting.delete(session);
    const others = this.slots.get(slot);
    others?.delete(session);
    if (others?.size === 0) this.slots.delete(slot);
  }
}
