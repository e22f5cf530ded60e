/** How far the moves of this node have come: who waits for their moment, who was told and is still here, who is gone. */
import type { Transport } from '../../../schema/frames.ts';
import type { MovableSession } from './movable-sessions.ts';
import type { Schedule } from './schedule.ts';

export interface MoveProgress {
  readonly from: Transport;
  readonly to: Transport;
  readonly done: number;
  readonly left: number;
  /** When the last of them will be there, Unix milliseconds by the store's clock; undefined while a pause holds any. */
  readonly endsAtMs: number | undefined;
}

export class MoveTally {
  private readonly schedule: Schedule<MovableSession>;
  private readonly held = new Set<MovableSession>();
  /** Each with when it is closed at the latest. */
  private readonly leaving = new Map<MovableSession, number>();
  private done = { websocket: 0, 'long-poll': 0 };

  constructor(schedule: Schedule<MovableSession>) {
    this.schedule = schedule;
  }

  /** The rules have changed. What was done counts on while anything is left. */
  restart(): void {
    if (this.schedule.size + this.held.size + this.leaving.size === 0)
      this.done = { websocket: 0, 'long-poll': 0 };
    this.held.clear();
  }

  hold(session: MovableSession): void {
    this.held.add(session);
  }

  told(session: MovableSession, endsAtMs: number): void {
    this.leaving.set(session, endsAtMs);
  }

  left(session: MovableSession): void {
    this.held.delete(session);
    if (this.leaving.delete(session)) this.done[session.transport] += 1;
  }

  /** @param stayOf how long a stream stays after it is told, milliseconds: asked of one that waits, and good for all */
  progress(stayOf: (one: MovableSession) => number): readonly MoveProgress[] {
    return (['websocket', 'long-poll'] as const).flatMap((from) => {
      const waiting = [...this.schedule.all()].filter(({ transport }) => transport === from);
      const leaving = [...this.leaving].filter(([{ transport }]) => transport === from);
      const held = [...this.held].filter(({ transport }) => transport === from).length;
      const left = waiting.length + leaving.length + held;
      if (left === 0) return [];
      const [one] = waiting;
      const stayMs = one === undefined || from === 'long-poll' ? 0 : stayOf(one);
      let lastMs = 0;
      for (const session of waiting) lastMs = Math.max(lastMs, (this.schedule.dueMs(session) ?? 0) + stayMs);
      for (const [, endsAtMs] of leaving) lastMs = Math.max(lastMs, endsAtMs);
      const to = from === 'websocket' ? ('long-poll' as const) : ('websocket' as const);
      return [{ from, to, done: this.done[from], left, endsAtMs: held > 0 ? undefined : lastMs }];
    });
  }
}
