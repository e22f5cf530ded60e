/**
 * Brings who is connected to where the rules now put them, each at the moment that they are due: sends streams down and
 * answers held polls that may move up. It decides nothing itself and never touches an event.
 */
import { Slice } from '../../async/slices.ts';
import { type Cancel, type Clock, pause } from '../../clock.ts';
import type { LeveledLogger } from '../../logger.ts';
import { type Asked, type Decider, type Decision, unasked } from '../decide/decide.ts';
import { type Stay, stayOf } from '../rules/open-changes.ts';
import { CohortCounts } from './cohort-counts.ts';
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

export class Mover {
  private readonly schedule: Schedule;
  private readonly counts: CohortCounts;
  private readonly unwatch: () => void;
  /** Aborted once everybody connected was decided by what decisions depend on now. */
  private walk = new AbortController();
  private walkedVersion: number;
  private walking: Iterator<MovableSession> | undefined;
  /** Those who came, or whose moment has come, and were not looked at yet. */
  private waiting: MovableSession[] = [];
  private cancelNext: Cancel = () => {};
  private cancelRun: Cancel = () => {};
  /** In what time the next step was planned, when it was. */
  private plannedMs: number | undefined;
  private isClosed = false;

  constructor(private readonly parts: MoverParts) {
    const { sessions, decider, dueTimes } = parts;
    this.schedule = new Schedule(dueTimes.nowMs());
    this.counts = new CohortCounts(sessions);
    this.walkedVersion = decider.assignment;
    this.walk.abort();
    this.unwatch = sessions.watch({
      came: (session) => this.meet(session),
      left: (session) => {
        this.schedule.left(session);
        this.counts.left(session);
      },
    });
  }

  /** Something that decisions depend on has changed: begins a walk at once, and drops one that is still going. */
  run(): void {
    this.beginWalk();
    this.schedule.restart(this.parts.dueTimes.nowMs());
    this.waiting = [];
    this.walking = this.parts.sessions.all()[Symbol.iterator]();
    this.step();
  }

  /** The same a moment later: rules that are written in this very turn come first, and moves then carry their version. */
  runSoon(): void {
    this.beginWalk();
    this.walking = undefined;
    this.cancelRun();
    this.cancelRun = this.parts.clock.after(0, () => this.run());
  }

  /**
   * How many of those connected the rules put in each cohort, and the version of the rules by which all of them were decided:
   * older than the rules while a walk goes on. Waits for its end, at most `withinMs`.
   */
  async assigned(withinMs: number) {
    await pause(this.parts.clock, withinMs, this.walk.signal);
    return { ...this.counts.assigned(), version: this.walkedVersion };
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
    return this.schedule.progress(stayOf(stay, decider.isKilled));
  }

  close(): void {
    this.isClosed = true;
    this.walk.abort();
    this.cancelNext();
    this.cancelRun();
    this.unwatch();
  }

  /** Who comes now was decided a moment ago, maybe by rules that have changed since; a poll may be due in a while. */
  private meet(session: MovableSession): void {
    if (session.transport === 'long-poll' && session.assignment === undefined) {
      // It can't be moved, but it may have been placed for as long as the log took.
      this.decide(session);
      return;
    }
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
    const slice = new Slice(this.parts.clock);
    while (slice.takes()) {
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
    if (walked?.done === false) return walked.value;
    if (walked?.done === true) this.endWalk();
    return this.schedule.take(this.parts.dueTimes.nowMs()) ?? this.waiting.pop();
  }

  /** Counts are of older decisions from here to the end of the walk. */
  private beginWalk(): void {
    if (this.walk.signal.aborted) this.walk = new AbortController();
  }

  private endWalk(): void {
    this.walking = undefined;
    this.walkedVersion = this.parts.decider.assignment;
    this.walk.abort();
  }

  private consider(session: MovableSession): void {
    if (!this.parts.sessions.has(session)) return;
    try {
      const decision = this.decide(session);
      if (session.isMoving) return;
      if (session.transport === 'websocket') this.moveDown(session, decision);
      else this.moveUp(session, decision);
    } catch (error) {
      // One broken connection must not keep the others where they are.
      this.parts.logger.error({ err: error }, 'a session could not be moved');
    }
  }

  /** Decides as for a client that told nothing: what cohorts are counted by. */
  private decide(session: MovableSession): Decision {
    const decision = this.parts.decider.decide(session);
    this.counts.decided(session, decision);
    return decision;
  }

  private moveDown(session: MovableSession, unaskedDecision: Decision): void {
    const { decider, dueTimes, stay } = this.parts;
    const asked = askedOf(session);
    const decision = asked === unasked ? unaskedDecision : decider.decide(session, asked);
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

  /** @param decision a poll says nothing about its client's support: negotiation asks */
  private moveUp(session: MovableSession, decision: Decision): void {
    const { dueTimes } = this.parts;
    if (session.assignment === undefined) return;
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

/** A stream that came without a ticket told nothing, and is the proof of what it supports. */
function askedOf({ supports, override }: MovableSession): Asked {
  const isAsIfUnasked = supports.includes('websocket') && override === undefined;
  return supports.length === 0 || isAsIfUnasked ? unasked : { supports, override };
}
