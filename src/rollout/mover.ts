/**
 * Brings who is connected to where the rules now put them: walks the sessions after every change, sends streams down and
 * answers held polls that may move up. It decides nothing itself and never touches an event.
 */
import type { Transport } from '../../schema/frames.ts';
import type { Cancel, Clock } from '../clock.ts';
import type { Announced } from './announced.ts';
import { type Decider, unasked } from './decider.ts';
import type { RolloutLogger } from './logger.ts';

export interface MoveOrder {
  readonly transport: Transport;
  /** How long the old transport stays open, milliseconds. */
  readonly withinMs: number;
  readonly reason: string;
  readonly assignment: number;
}

/** A stream or a held poll, as far as the mover must know it. */
export interface MovableSession {
  readonly org: string;
  readonly sub: string;
  readonly transport: Transport;
  readonly session: string | undefined;
  /** The version of the rules that the client has seen; undefined for one that knows none (legacy). */
  readonly assignment: number | undefined;
  readonly supports: readonly string[];
  readonly override: Transport | undefined;
  readonly isMoving: boolean;
  migrate(order: MoveOrder): void;
}

export interface MovableSessions {
  /** Those connected now; one that comes or goes during the walk may be seen or not. */
  all(): Iterable<MovableSession>;
}

export interface MoverParts {
  readonly sessions: MovableSessions;
  readonly decider: Decider;
  readonly announced: Announced;
  readonly clock: Clock;
  readonly logger: RolloutLogger;
  /** How long a stream stays open after `migrate`: on a kill, and else. */
  readonly killWithinMs: number;
  readonly moveWithinMs: number;
}

/** Sessions decided in one go: some milliseconds of the event loop. */
const chunk = 500;
/**
 * Who was admitted just before a change may register after the walk (a stream has 10 s for its first frame): walk again
 * for so long.
 */
const settleMs = 12_000;
const settleEveryMs = 500;

export class Mover {
  private readonly parts: MoverParts;
  private walking: Iterator<MovableSession> | undefined;
  private cancelNext: Cancel = () => {};
  private settledAtMs = 0;
  /** When the last stream that was told to go will be closed, Unix milliseconds. */
  private lastMoveEndsAtMs = 0;
  private isClosed = false;

  constructor(parts: MoverParts) {
    this.parts = parts;
  }

  /** Something that decisions depend on has changed: begins a walk at once, and drops one that is still going. */
  run(): void {
    this.settledAtMs = this.parts.clock.monotonic() + settleMs;
    this.walk();
  }

  /** The same a moment later: rules that are written in this very turn come first, and moves then carry their version. */
  runSoon(): void {
    this.cancelNext();
    this.cancelNext = this.parts.clock.after(0, () => this.run());
  }

  /** When the moves under way will be over, Unix milliseconds; undefined when none is. */
  get movesEndAtMs(): number | undefined {
    return this.lastMoveEndsAtMs > this.parts.clock.now() ? this.lastMoveEndsAtMs : undefined;
  }

  close(): void {
    this.isClosed = true;
    this.cancelNext();
  }

  private walk(): void {
    this.walking = this.parts.sessions.all()[Symbol.iterator]();
    this.step();
  }

  private step(): void {
    this.cancelNext();
    if (this.isClosed) return;
    for (let seen = 0; seen < chunk; seen += 1) {
      const next = this.walking?.next();
      if (next === undefined || next.done === true) return this.settle();
      this.consider(next.value);
    }
    this.cancelNext = this.parts.clock.after(0, () => this.step());
  }

  private settle(): void {
    this.walking = undefined;
    if (this.parts.clock.monotonic() < this.settledAtMs)
      this.cancelNext = this.parts.clock.after(settleEveryMs, () => this.walk());
  }

  private consider(session: MovableSession): void {
    if (session.isMoving) return;
    try {
      if (session.transport === 'websocket') this.moveDown(session);
      else this.moveUp(session);
    } catch (error) {
      // One broken connection must not keep the others where they are.
      this.parts.logger.error({ err: error }, 'a session could not be moved');
    }
  }

  private moveDown(session: MovableSession): void {
    const { decider, clock, killWithinMs, moveWithinMs } = this.parts;
    // A stream that came without a ticket told nothing, and is the proof of what it supports.
    const asked = session.supports.length > 0 ? session : unasked;
    const decision = decider.decide(session, asked);
    const { transport, reason, assignment } = decision;
    if (transport === 'websocket') return;
    const isKill = reason === 'kill-switch';
    // Rules older than the ones that let it in may not take it back; a kill is obeyed at any version.
    const isNewer = session.assignment !== undefined && session.assignment > assignment;
    if (!isKill && (isNewer || decider.isHeld(decision))) return;
    const withinMs = isKill ? killWithinMs : moveWithinMs;
    this.lastMoveEndsAtMs = Math.max(this.lastMoveEndsAtMs, clock.now() + withinMs);
    session.migrate({
      transport: 'long-poll',
      withinMs,
      reason: isKill ? 'kill-switch' : 'rollback',
      assignment,
    });
  }

  private moveUp(session: MovableSession): void {
    const { decider, announced } = this.parts;
    if (session.assignment === undefined || decider.areMovesHeld) return;
    // A poll says nothing about its client's support: negotiation asks.
    const { transport, reason, assignment } = decider.decide(session, unasked);
    if (transport !== 'websocket' || session.assignment >= assignment) return;
    if (!announced.claim(session, session.session, assignment)) return;
    session.migrate({ transport: 'websocket', withinMs: 0, reason, assignment });
  }
}
