/**
 * Brings who is connected to where the rules now put them, each at the moment that they are due: sends streams down and
 * answers held polls that may move up. It decides nothing itself and never touches an event.
 */
import type { Cancel, Clock } from '../../clock.ts';
import type { LeveledLogger } from '../../logger.ts';
import { type Decider, unasked } from '../decide/decide.ts';
import { type Stay, stayOf } from '../rules/open-changes.ts';
import { type DueTimes, held } from './due-times.ts';
import { Schedule, slotMs } from './schedule.ts';
import type { MovableSession, MovableSessions } from './sessions.ts';

interface MoverParts {
  readonly sessions: MovableSessions;
  readonly decider: Decider;
  readonly dueTimes: DueTimes;
  readonly clock: Clock;
  readonly logger: LeveledLogger;
  readonly stay: Stay;
}

/** Sessions decided in one go, unless they take longer than some milliseconds of the event loop. */
const chunk = 500;
const chunkMs = 8;

export class Mover {
  private readonly schedule: Schedule;
  private readonly unwatch: () => void;
  private walking: Iterator<MovableSession> | undefined;
  /** Those who came, or whose moment has come, and were not looked at yet. */
  private waiting: MovableSession[] = [];
  private cancelNext: Cancel = () => {};
  private cancelRun: Cancel = () => {};
  /** In what time the next step was planned, when it was. */
  private plannedMs: number | undefined;
  private isClosed = false;

  constructor(private readonly parts: MoverParts) {
    this.schedule = new Schedule(parts.dueTimes.nowMs());
    this.unwatch = parts.sessions.watch({
      came: (session) => this.meet(session),
      left: (session) => this.schedule.left(session),
    });
  }

  /** Something that decisions depend on has changed: begins a walk at once, and drops one that is still going. */
  run(): void {
    this.schedule.restart(this.parts.dueTimes.nowMs());
    this.waiting = [];
    this.walking = this.parts.sessions.all()[Symbol.iterator]();
    this.step();
  }

  /** The same a moment later: rules that are written in this very turn come first, and moves then carry their version. */
  runSoon(): void {
    this.cancelRun();
    this.cancelRun = this.parts.clock.after(0, () => this.run());
  }

  /** When the moves under way will be over, Unix milliseconds; undefined when none is, or a pause holds them. */
  get movesEndAtMs(): number | undefined {
    const ends = this.progress().map(({ endsAtMs }) => endsAtMs ?? Number.NaN);
    const lastMs = Math.max(...ends);
    return ends.length > 0 && lastMs > this.parts.dueTimes.nowMs() ? lastMs : undefined;
  }

  /** The moves under way here, by direction. */
  progress(): ReturnType<Schedule['progress']> {
    const { decider, stay } = this.parts;
    // A kill comes before every other reason: what one waits for, all do.
    return this.schedule.progress((one) => stayOf(stay, decider.decide(one).reason === 'kill-switch'));
  }

  close(): void {
    this.isClosed = true;
    this.cancelNext();
    this.cancelRun();
    this.unwatch();
  }

  /** Who comes now was decided a moment ago, maybe by rules that have changed since; a poll may be due in a while. */
  private meet(session: MovableSession): void {
    if (session.transport === 'long-poll' && session.assignment === undefined) return;
    this.waiting.push(session);
    this.planStep(0);
  }

  private planStep(ms: number): void {
    if (this.isClosed || (this.plannedMs !== undefined && this.plannedMs <= ms)) return;
    this.cancelNext();
    this.plannedMs = ms;
    this.cancelNext = this.parts.clock.after(ms, () => this.step());
  }

  /** Looks at those of the walk, then at those who came or fell due; goes on in the next turn where there are many. */
  private step(): void {
    this.cancelNext();
    this.plannedMs = undefined;
    if (this.isClosed) return;
    const { clock, dueTimes } = this.parts;
    const untilMs = clock.monotonic() + chunkMs;
    this.waiting.push(...this.schedule.take(dueTimes.nowMs()));
    for (let seen = 0; seen < chunk && clock.monotonic() <= untilMs; seen += 1) {
      const session = this.next();
      if (session === undefined) {
        if (this.schedule.hasWaiting) this.planStep(slotMs);
        return;
      }
      this.consider(session);
    }
    this.planStep(0);
  }

  private next(): MovableSession | undefined {
    const walked = this.walking?.next();
    if (walked !== undefined && walked.done !== true) return walked.value;
    this.walking = undefined;
    return this.waiting.pop();
  }

  private consider(session: MovableSession): void {
    if (session.isMoving || !this.parts.sessions.has(session)) return;
    try {
      if (session.transport === 'websocket') this.moveDown(session);
      else this.moveUp(session);
    } catch (error) {
      // One broken connection must not keep the others where they are.
      this.parts.logger.error({ err: error }, 'a session could not be moved');
    }
  }

  private moveDown(session: MovableSession): void {
    const { decider, dueTimes, stay } = this.parts;
    // A stream that came without a ticket told nothing, and is the proof of what it supports.
    const asked = session.supports.length > 0 ? session : unasked;
    const decision = decider.decide(session, asked);
    const { transport, reason, assignment } = decision;
    if (transport === 'websocket') return;
    const isKill = reason === 'kill-switch';
    // Rules older than the ones that let it in may not take it back; a kill is obeyed at any version.
    if (!isKill && session.assignment !== undefined && session.assignment > assignment) return;
    if (this.mustWait(session, dueTimes.dueAtMs(session, decision, asked))) return;
    const withinMs = stayOf(stay, isKill);
    this.schedule.told(session, dueTimes.nowMs() + withinMs);
    session.migrate({
      transport: 'long-poll',
      withinMs,
      reason: isKill ? 'kill-switch' : 'rollback',
      assignment,
    });
  }

  private moveUp(session: MovableSession): void {
    const { decider, dueTimes } = this.parts;
    if (session.assignment === undefined) return;
    // A poll says nothing about its client's support: negotiation asks.
    const decision = decider.decide(session);
    const { transport, reason, assignment } = decision;
    if (transport !== 'websocket' || session.assignment >= assignment) return;
    if (this.mustWait(session, dueTimes.dueAtMs(session, decision))) return;
    if (!dueTimes.announce(session, session.session, session.assignment, assignment)) return;
    this.schedule.told(session, dueTimes.nowMs());
    session.migrate({ transport: 'websocket', withinMs: 0, reason, assignment });
  }

  /** Its moment is still to come, or comes once a pause is over. */
  private mustWait(session: MovableSession, dueMs: number): boolean {
    if (dueMs <= this.parts.dueTimes.nowMs()) return false;
    if (dueMs === held) this.schedule.hold(session);
    else this.schedule.wait(session, dueMs);
    return true;
  }
}
