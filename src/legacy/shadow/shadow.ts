/**
 * The shadow: a share of the upstream's answers, compared with what Turnout would have answered. Bounded in work and
 * memory; nothing of what events say is kept.
 */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib';
import { type Clock, pause } from '../../clock.ts';
import type { LogEntry } from '../../log/entry.ts';
import { placeOf, type Position } from '../../log/cursor.ts';
import type { EventLog } from '../../log/event-log.ts';
import { itemCursor } from '../dialect/answers.ts';
import { cursorWire } from '../dialect/cursor.ts';
import type { Dialect, LegacyAnswer } from '../dialect/dialect.ts';
import { envelopeOf } from '../dialect/envelope.ts';
import { markedJson } from '../dialect/exact-json.ts';
import { entryKinds, holeService } from '../dialect/source-entry.ts';
import { bareKey, compareAnswers, type Had, numbering, type Seen, toleranceMs } from './compare.ts';
import { type OnResult, ShadowReport } from './report.ts';

export interface ShadowDeps {
  readonly dialect: Dialect;
  readonly places: { find(org: string, cursor: string): Promise<Position | undefined> };
  readonly log: Pick<EventLog, 'read'>;
  readonly clock: Pick<Clock, 'now' | 'random' | 'after'>;
}

/** One answer of the old backend, as it went to its client. */
export interface Watched {
  readonly org: string;
  readonly user: string;
  /** What the client asked with; undefined: nothing, and there is nothing to compare. */
  readonly cursor: string | undefined;
  readonly answer: LegacyAnswer;
  /** When it was complete, Unix milliseconds. */
  readonly answeredMs: number;
}

const maxUnderway = 50;
const lookEveryMs = 100;
const maxBytes = 1024 * 1024;
// Other services' events may stand between those of an answer.
const spareEvents = 50;
// An event that never came is not looked for to the end of a long log.
const maxAhead = 2000;

export class Shadow {
  readonly report: ShadowReport;
  private readonly percent: number;
  private readonly withinMs: number;
  private readonly ignored: ReadonlySet<string>;
  /** Names an event by its item in an answer; undefined where the template writes nothing that could. */
  private readonly keyOf: ((item: unknown) => string | undefined) | undefined;
  private readonly kindOf: ReturnType<typeof entryKinds>;
  private underway = 0;

  constructor(
    private readonly deps: ShadowDeps,
    onResult: OnResult = () => undefined,
  ) {
    const { profile } = deps.dialect;
    const { shadow } = profile;
    this.kindOf = entryKinds(deps.dialect);
    this.percent = shadow?.percent ?? 0;
    this.withinMs = (shadow?.withinSeconds ?? 0) * 1000;
    this.ignored = new Set(shadow?.ignore);
    this.keyOf = itemCursor(profile, cursorWire(profile.request.cursor));
    this.report = new ShadowReport(onResult);
  }

  /** Whether this request is one of those looked at. */
  wants(): boolean {
    return this.deps.clock.random() * 100 < this.percent && this.underway < maxUnderway;
  }

  /** Never rejects, and nobody waits for it. */
  async watch(watched: Watched): Promise<void> {
    // Asked again: polls that were held for long are all answered at once.
    if (this.underway >= maxUnderway) return;
    this.underway += 1;
    try {
      await this.compare(watched);
    } catch {
      // The log is away: what can't be compared says nothing.
      this.report.skip('log-away');
    } finally {
      this.underway -= 1;
    }
  }

  private async compare(watched: Watched): Promise<void> {
    const { org, cursor, answer, answeredMs } = watched;
    const { dialect, clock } = this.deps;
    if (cursor === undefined) return this.report.skip('no-cursor');
    const plain = await decoded(answer);
    if (plain === undefined) return this.report.unreadable('its compression is not known', clock.now());
    const reading = dialect.read(plain);
    if (reading.kind === 'unreadable') return this.report.unreadable(reading.why, clock.now());
    const old = reading.kind === 'idle' ? [] : this.seen(plain, reading.items);
    if (old === undefined) return this.report.unreadable('an event has no key', clock.now());
    const untilMs = answeredMs + this.withinMs;
    const from = await this.placed(org, cursor, untilMs);
    if (from === undefined) return this.report.skip('unknown-cursor');
    const upTo = reading.kind === 'events' ? reading.cursor : undefined;
    const ours = await this.had(watched, from, old, upTo, untilMs);
    if (ours === undefined) return this.report.skip('reset');
    const differences = compareAnswers({ old, ours, answeredMs, ignored: this.ignored });
    this.report.add(differences, clock.now());
  }

  /** The events of an answer by their keys; a long number in them is another value than a text of its digits. */
  private seen(answer: LegacyAnswer, items: readonly unknown[]): Seen[] | undefined {
    const marked = Buffer.from(markedJson((answer.body ?? '').toString()));
    const reading = this.deps.dialect.read({ ...answer, body: marked });
    const events = reading.kind === 'events' ? reading.items : items;
    const numbered = numbering();
    const seen = items.flatMap((item, index) => {
      const key = this.keyOf?.(item);
      return key === undefined ? [] : { key: numbered(key), event: events[index] };
    });
    return seen.length === items.length ? seen : undefined;
  }

  /** The log may be a moment behind the client. */
  private async placed(org: string, cursor: string, untilMs: number): Promise<Position | undefined> {
    for (;;) {
      const at = await this.deps.places.find(org, cursor);
      if (at !== undefined || this.deps.clock.now() >= untilMs) return at;
      await pause(this.deps.clock, lookEveryMs);
    }
  }

  /**
   * What the log has behind the client's place, up to the last event of the old answer or the cursor that came with it;
   * waited for until `untilMs`. For an idle answer: what it had for longer than that when the old backend said so.
   */
  private async had(
    { org, user, answeredMs }: Watched,
    from: Position,
    old: readonly Seen[],
    upTo: string | undefined,
    untilMs: number,
  ): Promise<Had[] | undefined> {
    const wanted = new Set(old.map(({ key }) => key));
    for (;;) {
      const all = await this.oursAfter(org, user, from, wanted);
      if (all === undefined) return undefined;
      if (wanted.size === 0)
        return all.filter(({ ms }) => ms < answeredMs - Math.max(this.withinMs, toleranceMs));
      const found = all.filter(({ key }) => wanted.has(key)).length;
      if (found >= wanted.size || this.deps.clock.now() >= untilMs)
        return all.slice(0, all.findLastIndex(({ key }) => wanted.has(key) || this.isUpTo(key, upTo)) + 1);
      await pause(this.deps.clock, lookEveryMs);
    }
  }

  private isUpTo(key: string, cursor: string | undefined): boolean {
    const order = cursor === undefined ? undefined : this.deps.dialect.compare(bareKey(key), cursor);
    return order !== undefined && order <= 0;
  }

  /** Theirs of the log behind a place: until all that are wanted were seen, or there is no more. */
  private async oursAfter(
    org: string,
    user: string,
    from: Position,
    wanted: ReadonlySet<string>,
  ): Promise<Had[] | undefined> {
    const all: Had[] = [];
    const numbered = numbering();
    let left = wanted.size;
    for (let at = from; ; ) {
      const limits = { maxEvents: left + spareEvents, maxBytes };
      const page = await this.deps.log.read(org, { at: 'cursor', position: at }, limits);
      if (page.kind === 'reset') return undefined;
      for (const entry of page.entries) {
        const found = this.ours(entry, user);
        if (found === undefined) continue;
        const ours = { ...found, key: numbered(found.key) };
        all.push(ours);
        if (wanted.has(ours.key)) left -= 1;
      }
      const last = page.entries.at(-1);
      if (left <= 0 || last === undefined || last.seq >= page.head.seq) return all;
      if (all.length > wanted.size + maxAhead) return all;
      at = placeOf(page.from.epoch, last);
    }
  }

  private ours(entry: LogEntry, user: string): Had | undefined {
    const { dialect } = this.deps;
    // Not a hole's own mark: an event of a hole may still be the source's, from before entries told where they came from.
    if (entry.service === holeService || this.kindOf(entry) === 'other') return undefined;
    if (entry.to !== null && !entry.to.includes(user)) return undefined;
    const envelope = envelopeOf(entry);
    const key = dialect.profile.request.cursor.format === 'opaque' ? envelope.id : dialect.cursorOf(envelope);
    if (key === undefined || this.keyOf === undefined) return undefined;
    const event: unknown = JSON.parse(markedJson(dialect.eventJson(envelope)));
    return { key, event, ms: entry.ms };
  }
}

type Unpack = (bytes: InputType, options: ZlibOptions) => Promise<Buffer>;

const unpackers: Readonly<Record<string, Unpack>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
};
// Some hundred bytes can unpack to megabytes.
const maxOutputLength = 2 * 1024 * 1024;

/** The answer as its client reads it, unpacked. Undefined where it can't be unpacked, or is too much. */
async function decoded(answer: LegacyAnswer): Promise<LegacyAnswer | undefined> {
  const coding = answer.headers['content-encoding']?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity' || answer.body === undefined) return answer;
  const unpack = Object.hasOwn(unpackers, coding) ? unpackers[coding] : undefined;
  try {
    const body = await unpack?.(answer.body, { maxOutputLength });
    return body && { ...answer, body };
  } catch {
    return undefined;
  }
}
