/**
 * Answers an old API's poll from Turnout's log, in that API's words. Whatever it isn't sure to answer as well as the old
 * backend would, it leaves to the old backend.
 */
import type { Clock } from '../../clock.ts';
import { asTurnoutError } from '../../errors.ts';
import { heldAtMostMs } from '../../auth/identity.ts';
import type { Dialect, LegacyAnswer, LegacyAsk } from '../dialect/dialect.ts';
import type { LegacyCaller } from './identity.ts';
import { ownCursor } from '../proxy/onward.ts';
import { holeService } from '../bridge/batch.ts';
import { envelopeOf, type Places } from './places.ts';
import type { Unserved } from '../../metrics/legacy.ts';
import { encodeCursor, placeOf, type Position } from '../../log/cursor.ts';
import type { LogEntry } from '../../log/entry.ts';
import { type EventLog, placeOnly } from '../../log/event-log.ts';
import { foreignEvents, foreignForm, type ForeignWords } from './foreign-form.ts';
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
  | { readonly isServed: true; readonly answer: LegacyAnswer; readonly events: boolean }
  /** `leftMs`: of its wait, where some of it has gone by here. */
  | { readonly isServed: false; readonly why: Unserved; readonly leftMs?: number };

type LegacyChunk = Parameters<typeof foreignEvents>[1];

// Held for less than this, it goes to the old backend as it came.
const heldMs = 1000;

const no = (why: Unserved): Served => ({ isServed: false, why });

export class LegacyServe {
  private readonly deps: LegacyServeDeps;
  private readonly words: ForeignWords;
  private readonly forms = new Map<number, ReturnType<typeof foreignForm>>();
  private readonly services: ReadonlySet<string>;
  /** One answer for all who are given one chunk whole. */
  private readonly shared = new WeakMap<
    object,
    { readonly answer: LegacyAnswer; readonly isWhole: boolean }
  >();
  private readonly torn = new WeakMap<object, boolean>();

  constructor(deps: LegacyServeDeps) {
    this.deps = deps;
    const { dialect } = deps;
    this.services = new Set([...dialect.profile.request.services.fixed, holeService]);
    const isOpaque = dialect.profile.request.cursor.format === 'opaque';
    const written = new WeakMap<LogEntry, string>();
    this.words = {
      name: `legacy-${dialect.profile.name}`,
      write(entry) {
        if (entry.service === holeService) return undefined;
        const known = written.get(entry);
        if (known !== undefined) return known;
        const envelope = envelopeOf(entry);
        // Not from the source: whoever was given it would have no place to come back to.
        if (!isOpaque && dialect.cursorOf(envelope) === undefined) return undefined;
        const json = dialect.eventJson(envelope);
        written.set(entry, json);
        return json;
      },
    };
  }

  /** Never throws what the old backend could still answer. */
  async answer(caller: LegacyCaller, asked: LegacyAsk, client: PollClient): Promise<Served> {
    try {
      return await this.serve(caller, asked, client);
    } catch (thrown) {
      const { code } = asTurnoutError(thrown);
      if (code === 'log_unavailable') return no('log-away');
      if (code === 'overloaded') return no('overloaded');
      throw thrown;
    }
  }

  private async serve(caller: LegacyCaller, asked: LegacyAsk, client: PollClient): Promise<Served> {
    const { clock, longPoll, log } = this.deps;
    // A place that is known needs no log to be held at, and would be told "nothing new" for as long as the outage lasts.
    if (!log.health().isUp) return no('log-away');
    const beganMs = clock.monotonic();
    const endMs = beganMs + Math.min(asked.waitMs, heldAtMostMs(caller.identity, clock.now()));
    const from = await this.place(caller, asked.cursor);
    if (typeof from === 'string') return no(from);
    let at = from;
    for (;;) {
      const waitMs = Math.max(0, endMs - clock.monotonic());
      const { chunk, state } = await longPoll.hold({
        identity: caller.identity,
        services: this.services,
        start: { at: 'cursor', position: at },
        waitMs,
        limit: asked.limit,
        session: undefined,
        assignment: undefined,
        client,
        form: this.formOf(asked.limit),
      });
      const nowMs = clock.monotonic();
      const leftMs = endMs - nowMs;
      // Who has waited here waits there for the rest of it alone.
      const back = (why: Unserved): Served =>
        nowMs - beganMs < heldMs ? no(why) : { isServed: false, why, leftMs: Math.max(0, leftMs) };
      if (state.reset !== undefined) {
        if (asked.cursor !== undefined) this.deps.places.forget(caller.user, caller.org, asked.cursor);
        return back('reset');
      }
      if (chunk !== undefined && this.hasHole(chunk)) return back('gap');
      if (chunk === undefined && leftMs > 0 && !this.deps.mayHold())
        return { isServed: false, why: 'bridge-away', leftMs };
      const torn = chunk && state.hasMore ? await this.tornInstant(caller, chunk) : undefined;
      const given = chunk && this.written(caller, chunk, torn);
      if (given === undefined && torn !== undefined) return back('instant');
      if (given !== undefined) return { isServed: true, answer: given, events: true };
      at = state.at;
      // Past what isn't theirs, or has no words here: an answer now would have them look through it again, at once.
      const mayWait = chunk !== undefined && clock.monotonic() < endMs;
      if (!state.hasMore && !mayWait)
        return { isServed: true, answer: this.idle(caller, asked, at), events: false };
    }
  }

  /** Where to go on; a word where the old backend knows better. */
  private async place({ org, user }: LegacyCaller, cursor: string | undefined): Promise<Position | Unserved> {
    const { dialect, places, log } = this.deps;
    const { format, absent } = dialect.profile.request.cursor;
    if (cursor === undefined) {
      if (absent === 'upstream') return 'no-cursor';
      return (await log.read(org, { at: 'head' }, placeOnly)).head;
    }
    if (format === 'opaque') return ownCursor(cursor) ?? 'unknown-cursor';
    return places.knownFor(user, org, cursor) ?? (await places.find(org, cursor)) ?? 'unknown-cursor';
  }

  private hasHole(chunk: LegacyChunk): boolean {
    let has = this.torn.get(chunk);
    if (has === undefined) {
      has = chunk.parts.some(({ entries }) => entries.some(({ service }) => service === holeService));
      this.torn.set(chunk, has);
    }
    return has;
  }

  /**
   * The cursor of the chunk's end, where the next event has the same: whoever came back with it would miss that one at any
   * other node, and at the old backend.
   */
  private async tornInstant({ org }: LegacyCaller, chunk: LegacyChunk): Promise<string | undefined> {
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
  private written(
    { org, user }: LegacyCaller,
    chunk: LegacyChunk,
    torn: string | undefined,
  ): LegacyAnswer | undefined {
    const made = this.shared.get(chunk);
    if (made !== undefined && !(made.isWhole && torn !== undefined)) return made.answer;
    const isLeft = torn === undefined ? undefined : (entry: LogEntry) => this.isOf(entry, torn);
    const events = foreignEvents(this.words, chunk, user, isLeft);
    if (events === undefined) return undefined;
    const { dialect, places } = this.deps;
    const isOpaque = dialect.profile.request.cursor.format === 'opaque';
    const value = isOpaque ? encodeCursor(chunk.end) : dialect.cursorOf(envelopeOf(events.last));
    if (value === undefined) return undefined;
    // Only what nobody was left out of may be passed over: whoever else comes with this value may be the one it is for.
    const isWhole = torn === undefined;
    const end = chunk.isShared && isWhole ? chunk.end : placeOf(chunk.end.epoch, events.last);
    if (!isOpaque) places.remember(org, value, end);
    const answer = dialect.answer(events.pieces, value);
    if (chunk.isShared) this.shared.set(chunk, { answer, isWhole });
    return answer;
  }

  private idle({ org, user }: LegacyCaller, { cursor }: LegacyAsk, at: Position): LegacyAnswer {
    const { dialect, places } = this.deps;
    const isOpaque = dialect.profile.request.cursor.format === 'opaque';
    // Their cursor stays; without this each poll would look through what isn't theirs once more.
    if (!isOpaque && cursor !== undefined) places.rememberFor(user, org, cursor, at);
    return dialect.idle(isOpaque ? encodeCursor(at) : cursor);
  }

  private formOf(limit: number): ReturnType<typeof foreignForm> {
    const form = this.forms.get(limit) ?? foreignForm(this.words, limit);
    this.forms.set(limit, form);
    return form;
  }
}
