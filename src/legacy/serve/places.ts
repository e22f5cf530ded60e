/**
 * Where in Turnout's log an old client stands: a cursor of the old API, which is a value kept with an event, as a position.
 * Found only where the log surely has everything after it; who can't be placed so is the old backend's to answer.
 */
import { LRUCache } from 'lru-cache';
import { SingleFlight } from '../../async/single-flight.ts';
import { placeOf, type Position } from '../../log/cursor.ts';
import type { LogEntry } from '../../log/entry.ts';
import { type EventLog, placeOnly } from '../../log/event-log.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { envelopeOf } from '../dialect/envelope.ts';
import { entryKinds } from '../dialect/source-entry.ts';

/** An entry of the source's, with the value that names its place in the old API. */
interface Marked {
  readonly entry: LogEntry;
  readonly value: string;
}

// Of one profile: of the newest asked for.
const maxKnown = 50_000;
const pageLimits = { maxEvents: 200, maxBytes: 256 * 1024 };
// Of an unordered format, this many of the newest entries are looked through.
const maxScanned = 5000;
// Looking for one of the source's among other services': small steps first, since the next is mostly one.
const stepEvents = [16, 64, 256, 1000, 1000, 1000];

export class Places {
  private readonly kindOf: ReturnType<typeof entryKinds>;
  private readonly known = new LRUCache<string, Position>({ max: maxKnown });
  private readonly searches = new SingleFlight<Position | undefined>();

  constructor(
    private readonly log: Pick<EventLog, 'read'>,
    private readonly dialect: Dialect,
  ) {
    this.kindOf = entryKinds(dialect);
  }

  /**
   * The position after the event that `value` names, or what is remembered for this user; undefined where the log can't tell.
   * @throws log_unavailable
   */
  async find(org: string, value: string, user?: string): Promise<Position | undefined> {
    const key = keyOf(org, value);
    const known =
      (user === undefined ? undefined : this.known.get(keyOf(org, value, user))) ?? this.known.get(key);
    if (known !== undefined) return known;
    // A hundred clients that were given one answer come back with one cursor.
    const found = await this.searches.run(key, () => this.search(org, value));
    if (found !== undefined) this.remember(found, org, value);
    return found;
  }

  /**
   * Who was given the event of that value stands here: their next poll need not be searched for. With a user: for that one
   * alone, since nothing of theirs lies between the event and here.
   */
  remember(at: Position, org: string, value: string, user?: string): void {
    this.known.set(keyOf(org, value, user), at);
  }

  /** That place was no longer in the log. */
  forget(org: string, value: string, user: string): void {
    this.known.delete(keyOf(org, value));
    this.known.delete(keyOf(org, value, user));
  }

  /** The value of the next event behind a place; undefined: none, or none nearby. @throws log_unavailable */
  async valueAfter(org: string, at: Position): Promise<string | undefined> {
    const { head } = await this.log.read(org, { at: 'head' }, placeOnly);
    // With those that are holes: an instant may go on in one.
    const found = await this.marksAfter(org, at.seq, head, stepEvents, (entry) => this.valued(entry));
    return typeof found === 'string' ? undefined : found.marks[0]?.value;
  }

  private async search(org: string, value: string): Promise<Position | undefined> {
    const { head } = await this.log.read(org, { at: 'head' }, placeOnly);
    if (head.seq === 0) return undefined;
    return this.dialect.profile.request.cursor.format === 'string'
      ? this.scan(org, value, head)
      : this.bisect(org, value, head);
  }

  /** Backwards from the head, a page at a time: the old API's ids have no order. */
  private async scan(org: string, value: string, head: Position): Promise<Position | undefined> {
    const leastSeq = Math.max(0, head.seq - maxScanned);
    for (let before = head.seq; before > leastSeq; ) {
      const after = Math.max(0, before - pageLimits.maxEvents);
      for (let from = after; from < before; ) {
        const page = await this.pageAfter(org, from, head);
        if (page === undefined || page.entries.length === 0) return undefined;
        const found = page.entries.find((entry) => this.mark(entry)?.value === value);
        if (found !== undefined) return placeOf(head.epoch, found);
        from = page.entries.at(-1)?.seq ?? before;
      }
      before = after;
    }
    return undefined;
  }

  /** Between an entry at or before the value and the next one, which is past it, nothing can be missing. */
  private async bisect(org: string, value: string, head: Position): Promise<Position | undefined> {
    let before: Marked | undefined;
    let isPassed = false;
    let low = 0;
    let high = head.seq;
    // The newest page first: that is where most clients are.
    let steps: readonly number[] = [pageLimits.maxEvents, ...stepEvents];
    for (let after = Math.max(0, high - pageLimits.maxEvents); ; after = Math.floor((low + high) / 2)) {
      const stretch = await this.marksAfter(org, after, head, steps);
      steps = stepEvents;
      if (stretch === 'too far') return undefined;
      if (stretch === 'gone') {
        low = after + 1;
      } else {
        const last = stretch.marks.findLast((one) => this.isAtOrBefore(one, value));
        const next = stretch.marks.find((one) => !this.isAtOrBefore(one, value));
        if (last !== undefined) before = last;
        isPassed ||= next !== undefined;
        if (last !== undefined && next !== undefined) break;
        // Nothing of the source's up to the head, or only what is past the value: the place lies before.
        if (last === undefined) high = after;
        else low = stretch.endSeq;
      }
      if (low >= high) break;
    }
    // Past the newest of the source's, the log is behind its client: only the very place is sure.
    const isSure = before !== undefined && (isPassed || before.value === value);
    return isSure ? before && placeOf(head.epoch, before.entry) : undefined;
  }

  private isAtOrBefore(one: Marked, value: string): boolean {
    const order = this.dialect.compare(one.value, value);
    return order !== undefined && order <= 0;
  }

  /** The source's entries of the first page after `seq` that has any; none where there are none up to the head. */
  private async marksAfter(
    org: string,
    seq: number,
    head: Position,
    steps: readonly number[],
    markOf = (entry: LogEntry) => this.mark(entry),
  ): Promise<{ readonly marks: readonly Marked[]; readonly endSeq: number } | 'gone' | 'too far'> {
    let endSeq = seq;
    for (const maxEvents of steps) {
      const page = await this.pageAfter(org, endSeq, head, maxEvents);
      if (page === undefined) return 'gone';
      const marks = page.entries.flatMap((entry) => markOf(entry) ?? []);
      endSeq = page.entries.at(-1)?.seq ?? head.seq;
      if (marks.length > 0 || endSeq >= head.seq) return { marks, endSeq };
    }
    return 'too far';
  }

  /** Undefined where nobody stands: what somebody else published names no place, whatever its id. */
  private mark(entry: LogEntry): Marked | undefined {
    const isSure = this.kindOf(entry) === 'source' || entry.isBridged === true;
    return isSure ? this.valued(entry) : undefined;
  }

  private valued(entry: LogEntry): Marked | undefined {
    if (this.kindOf(entry) === 'other') return undefined;
    const value = this.dialect.cursorOf(envelopeOf(entry));
    return value === undefined ? undefined : { entry, value };
  }

  /** Undefined: retention has dropped what follows that seq, or the log is another by now. */
  private async pageAfter(org: string, seq: number, head: Position, maxEvents = pageLimits.maxEvents) {
    const start = { at: 'lastSeq', seq, epoch: head.epoch } as const;
    const answer = await this.log.read(org, start, { ...pageLimits, maxEvents });
    return answer.kind === 'reset' ? undefined : answer;
  }
}

// No org has a space in it, and no cursor a line feed.
const keyOf = (org: string, value: string, user?: string): string =>
  user === undefined ? `${org} ${value}` : `${org} ${value}\n${user}`;
