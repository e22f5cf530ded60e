/**
 * Answers an old API's poll from Turnout's log, in that API's words. Whatever it isn't sure to answer as well as the old
 * backend would, it leaves to the old backend.
 */
import type { Clock } from '../../clock.ts';
import { asTurnoutError } from '../../errors.ts';
import { everyService, heldAtMostMs, type Identity } from '../../auth/identity.ts';
import type { Chunk } from '../../hub/chunk.ts';
import type { Dialect, LegacyAnswer, LegacyAsk } from '../dialect/dialect.ts';
import { envelopeOf } from '../dialect/envelope.ts';
import { ownCursor } from '../proxy/rewrite.ts';
import { entryKinds, holeService } from '../dialect/source-entry.ts';
import { LegacyEncoder } from './encoder.ts';
import type { Places } from './places.ts';
import type { Unserved } from '../../metrics/legacy.ts';
import { encodeCursor, placeOf, type Position } from '../../log/cursor.ts';
import type { LogEntry } from '../../log/entry.ts';
import { type EventLog, placeOnly } from '../../log/event-log.ts';
import type { LongPoll } from '../../transports/long-poll.ts';
import type { PollClient } from '../../transports/poll-request.ts';

export interface LegacyServeDeps {
  readonly dialect: Dialect;
  readonly places: Places;
  readonly longPoll: Pick<LongPoll, 'hold'>;
  readonly log: Pick<EventLog, 'read' | 'health'>;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  /** The flag serves somebody, and somebody brings what the old backend has into the log. */
  readonly mayHold: () => boolean;
}

export type Served =
  | { readonly isServed: true; readonly answer: LegacyAnswer }
  /** `leftMs`: of its wait, where some of it has gone by here. */
  | { readonly isServed: false; readonly why: Unserved; readonly leftMs?: number };

// Held for less than this, it goes to the old backend as it came.
const heldMs = 1000;

export const unserved = (why: Unserved): Served & { isServed: false } => ({ isServed: false, why });

export class LegacyServe {
  private readonly encoder: LegacyEncoder;
  private readonly services: ReadonlySet<string>;
  private readonly kindOf: ReturnType<typeof entryKinds>;
  private readonly isOpaque: boolean;
  /** One answer for all who are given one chunk whole. */
  private readonly shared = new WeakMap<Chunk, LegacyAnswer>();
  private readonly holes = new WeakMap<Chunk, boolean>();

  constructor(private readonly deps: LegacyServeDeps) {
    const { dialect } = deps;
    this.services = new Set([...dialect.profile.request.services.fixed, holeService]);
    this.kindOf = entryKinds(dialect);
    this.encoder = new LegacyEncoder(dialect);
    this.isOpaque = dialect.profile.request.cursor.format === 'opaque';
  }

  /** Never throws what the old backend could still answer. */
  async answer(caller: Identity, asked: LegacyAsk, client: PollClient): Promise<Served> {
    try {
      return await this.serve(caller, asked, client);
    } catch (thrown) {
      const { code } = asTurnoutError(thrown);
      if (code === 'log_unavailable') return unserved('log-away');
      if (code === 'overloaded' || code === 'rate_limited') return unserved('overloaded');
      throw thrown;
    }
  }

  private async serve(caller: Identity, asked: LegacyAsk, client: PollClient): Promise<Served> {
    const { clock, longPoll, log } = this.deps;
    // A place that is known needs no log to be held at, and would be told "nothing new" for as long as the outage lasts.
    if (!log.health().isUp) return unserved('log-away');
    const { fixed } = this.deps.dialect.profile.request.services;
    // The upstream knows its own rules; here they are not given what their token keeps from them.
    if (!fixed.every((service) => caller.reads.allows(service))) return unserved('service-forbidden');
    // The marks of holes are read, too, which no claim allows.
    const identity: Identity = { ...caller, reads: everyService };
    const beganMs = clock.monotonic();
    const endMs = beganMs + Math.min(asked.waitMs, heldAtMostMs(caller, clock.now()));
    const from = await this.place(caller, asked.cursor);
    if (typeof from === 'string') return unserved(from);
    let at = from;
    for (;;) {
      const waitMs = Math.max(0, endMs - clock.monotonic());
      const { chunk, state } = await longPoll.hold({
        identity,
        services: this.services,
        start: { at: 'cursor', position: at },
        waitMs,
        limit: asked.limit,
        session: undefined,
        assignment: undefined,
        client,
        form: this.encoder.form(asked.limit),
      });
      const nowMs = clock.monotonic();
      const leftMs = endMs - nowMs;
      // Who has waited here waits there for the rest of it alone.
      const back = (why: Unserved): Served =>
        nowMs - beganMs < heldMs ? unserved(why) : { isServed: false, why, leftMs: Math.max(0, leftMs) };
      if (state.reset !== undefined) {
        if (asked.cursor !== undefined) this.deps.places.forget(caller.org, asked.cursor, caller.sub);
        return back('reset');
      }
      if (chunk !== undefined && this.hasHole(chunk)) return back('gap');
      if (chunk === undefined && leftMs > 0 && !this.deps.mayHold())
        return { isServed: false, why: 'bridge-away', leftMs };
      const torn = chunk && state.hasMore ? await this.tornInstant(caller, chunk) : undefined;
      const given = chunk && this.written(caller, chunk, torn);
      if (given === undefined && torn !== undefined) return back('instant');
      if (given !== undefined) return { isServed: true, answer: given };
      at = state.at;
      // Past what isn't theirs, or has no words here: an answer now would have them look through it again, at once.
      const mayWait = chunk !== undefined && clock.monotonic() < endMs;
      if (!state.hasMore && !mayWait) return { isServed: true, answer: this.idle(caller, asked, at) };
    }
  }

  /** Where to go on; a word where the old backend knows better. */
  private async place({ org, sub }: Identity, cursor: string | undefined): Promise<Position | Unserved> {
    const { dialect, places, log } = this.deps;
    if (cursor === undefined) {
      if (dialect.profile.request.cursor.absent === 'upstream') return 'no-cursor';
      return (await log.read(org, { at: 'head' }, placeOnly)).head;
    }
    if (this.isOpaque) return ownCursor(cursor) ?? 'unknown-cursor';
    return places.place(org, cursor, sub);
  }

  private hasHole(chunk: Chunk): boolean {
    let has = this.holes.get(chunk);
    if (has === undefined) {
      has = chunk.parts.some(({ entries }) => entries.some((entry) => this.kindOf(entry) === 'hole'));
      this.holes.set(chunk, has);
    }
    return has;
  }

  /**
   * The cursor of the chunk's end, where the next event has the same: whoever came back with it would miss that one at any
   * other node, and at the old backend.
   */
  private async tornInstant({ org }: Identity, chunk: Chunk): Promise<string | undefined> {
    const { dialect, places } = this.deps;
    if (dialect.profile.request.cursor.format !== 'timestamp') return undefined;
    const next = await places.valueAfter(org, chunk.end);
    const entries = chunk.parts.flatMap((part) => part.entries);
    const isTorn = entries.some((entry) => this.isOf(entry, next));
    return isTorn ? next : undefined;
  }

  private isOf(entry: LogEntry, cursor: string | undefined): boolean {
    const value = cursor === undefined ? undefined : this.deps.dialect.cursorOf(envelopeOf(entry));
    return value !== undefined && this.deps.dialect.compare(value, cursor ?? '') === 0;
  }

  /** @param torn a cursor whose events are left for the next answer */
  private written({ org, sub }: Identity, chunk: Chunk, torn: string | undefined): LegacyAnswer | undefined {
    const isWhole = torn === undefined;
    const made = isWhole ? this.shared.get(chunk) : undefined;
    if (made !== undefined) return made;
    const isLeft = isWhole ? undefined : (entry: LogEntry) => this.isOf(entry, torn);
    const events = this.encoder.eventsFor(chunk, sub, isLeft);
    if (events === undefined) return undefined;
    const { dialect, places } = this.deps;
    const value = this.isOpaque ? encodeCursor(chunk.end) : dialect.cursorOf(envelopeOf(events.last));
    if (value === undefined) return undefined;
    // Only what nobody was left out of may be passed over: whoever else comes with this value may be the one it is for.
    const end = chunk.isShared && isWhole ? chunk.end : placeOf(chunk.end.epoch, events.last);
    if (!this.isOpaque) places.remember(end, org, value);
    const answer = dialect.answer(events.pieces, value);
    if (chunk.isShared && isWhole) this.shared.set(chunk, answer);
    return answer;
  }

  private idle({ org, sub }: Identity, { cursor }: LegacyAsk, at: Position): LegacyAnswer {
    const { dialect, places } = this.deps;
    // Their cursor stays; without this each poll would look through what isn't theirs once more.
    if (!this.isOpaque && cursor !== undefined) places.remember(at, org, cursor, sub);
    return dialect.idle(this.isOpaque ? encodeCursor(at) : cursor);
  }
}
