/**
 * Looks for a legacy API's cursor in an org's log: backwards where its values have no order, else by halving. Keeps of each org
 * only how far back its values go; src/legacy/serve/places.ts remembers what was found and bounds how often this runs.
 */
import { LRUCache } from 'lru-cache';
import { placeOf, type Position } from '../../log/cursor.ts';
import type { LogEntry } from '../../log/entry.ts';
import { type EventLog, placeOnly } from '../../log/event-log.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { envelopeOf } from '../dialect/envelope.ts';
import { entryKinds } from '../dialect/source-entry.ts';

/** An entry of the source's, with the value that names its place in the old API. */
interface Marked {
  /** Not the entry: what is remembered must not hold its payload. */
  readonly place: Omit<Position, 'epoch'>;
  readonly value: string;
}

const pageLimits = { maxEvents: 200, maxBytes: 256 * 1024 };
// Of an unordered format, this many of the newest entries are looked through.
const maxScanned = 5000;
// Looking for one of the source's among other services': small steps first, since the next is mostly one.
const stepEvents = [16, 64, 256, 1000, 1000, 1000];
// Where the log has grown by no more, what is new is all that is looked through for them.
const maxFresh = 1000;
const maxOrgs = 10_000;

/** What a search has found out of a value that has no place: nothing up to `head` changes that. */
export interface Missed {
  readonly head: Position;
  readonly before: Marked | undefined;
}

/** One search, and what it has cost: pages of the log. */
export interface Search {
  readonly org: string;
  readonly value: string;
  readonly head: Position;
  reads: number;
}

/** Where the newest mark at or before a value stands, as far as was looked; `at` where that is its place. */
interface Outcome {
  readonly before: Marked | undefined;
  readonly at: Position | undefined;
}

export class PlaceSearch {
  private readonly kindOf: ReturnType<typeof entryKinds>;
  /** By org: the oldest value that its log had. What is older has no place while that epoch lasts. */
  private readonly oldest = new LRUCache<string, { readonly epoch: string; readonly value: string }>({
    max: maxOrgs,
  });

  constructor(
    private readonly log: Pick<EventLog, 'read'>,
    private readonly dialect: Dialect,
  ) {
    this.kindOf = entryKinds(dialect);
  }

  /** Begins at the log's head, which it reads. @throws log_unavailable */
  async begin(org: string, value: string): Promise<Search> {
    const { head } = await this.log.read(org, { at: 'head' }, placeOnly);
    return { org, value, head, reads: 1 };
  }

  /** @param missed of an earlier search for the same value. @throws log_unavailable */
  look(search: Search, missed: Missed | undefined): Promise<Outcome> | Outcome {
    const { org, value, head } = search;
    const nowhere = { before: undefined, at: undefined };
    if (head.seq === 0) return nowhere;
    if (missed?.head.epoch === head.epoch && head.seq - missed.head.seq <= maxFresh)
      return this.lookOn(search, missed);
    const oldest = this.oldest.get(org);
    const order = oldest?.epoch === head.epoch ? this.dialect.compare(value, oldest.value) : undefined;
    if (order !== undefined && order < 0) return nowhere;
    return this.dialect.profile.request.cursor.format === 'string' ? this.scan(search) : this.bisect(search);
  }

  /** Through what came since the value was missed: the rest has not changed, but that some of it may be gone. */
  private async lookOn(search: Search, { head: from, before }: Missed): Promise<Outcome> {
    const { head, value } = search;
    const marks: Marked[] = [];
    for (let seq = from.seq; seq < head.seq; ) {
      const page = await this.pageAfter(search, seq);
      if (page === undefined || page.entries.length === 0) break;
      marks.push(...page.entries.flatMap((entry) => this.mark(entry) ?? []));
      seq = page.entries.at(-1)?.seq ?? head.seq;
    }
    const last = marks.findLast((one) => this.isAtOrBefore(one, value)) ?? before;
    const isPassed = marks.some((one) => this.isPast(one, value));
    return this.outcome(search, last, isPassed);
  }

  /** Backwards from the head, a page at a time: the old API's ids have no order. */
  private async scan(search: Search): Promise<Outcome> {
    const { head, value } = search;
    const leastSeq = Math.max(0, head.seq - maxScanned);
    for (let before = head.seq; before > leastSeq; ) {
      const after = Math.max(0, before - pageLimits.maxEvents);
      for (let from = after; from < before; ) {
        const page = await this.pageAfter(search, from);
        if (page === undefined || page.entries.length === 0) return this.outcome(search, undefined, false);
        const marks = page.entries.flatMap((entry) => this.mark(entry) ?? []);
        const found = marks.find((one) => one.value === value);
        if (found !== undefined) return this.outcome(search, found, false);
        from = page.entries.at(-1)?.seq ?? before;
      }
      before = after;
    }
    return this.outcome(search, undefined, false);
  }

  /** Between an entry at or before the value and the next one, which is past it, nothing can be missing. */
  private async bisect(search: Search): Promise<Outcome> {
    const { org, head, value } = search;
    let before: Marked | undefined;
    let first: Marked | undefined;
    let isPassed = false;
    let low = 0;
    let high = head.seq;
    // The newest page first: that is where most clients are.
    let steps: readonly number[] = [pageLimits.maxEvents, ...stepEvents];
    for (let after = Math.max(0, high - pageLimits.maxEvents); ; after = Math.floor((low + high) / 2)) {
      const stretch = await this.marksAfter(search, after, steps);
      steps = stepEvents;
      if (stretch === 'too far') return { before: undefined, at: undefined };
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
        if (last === undefined) first = stretch.marks[0] ?? first;
      }
      if (low >= high) break;
    }
    if (before === undefined && first !== undefined)
      this.oldest.set(org, { epoch: head.epoch, value: first.value });
    return this.outcome(search, before, isPassed);
  }

  /** Past the newest of the source's, the log is behind its client: only the very place is sure. */
  private outcome({ head, value }: Search, before: Marked | undefined, isPassed: boolean): Outcome {
    const isSure = before !== undefined && (isPassed || before.value === value);
    return { before, at: isSure ? placeOf(head.epoch, before.place) : undefined };
  }

  private isAtOrBefore(one: Marked, value: string): boolean {
    const order = this.dialect.compare(one.value, value);
    return order !== undefined && order <= 0;
  }

  /** Never in a format without order. */
  private isPast(one: Marked, value: string): boolean {
    const order = this.dialect.compare(one.value, value);
    return order !== undefined && order > 0;
  }

  /** The source's entries of the first page after `seq` that has any; none where there are none up to the head. */
  private async marksAfter(
    search: Search,
    seq: number,
    steps: readonly number[],
    markOf = (entry: LogEntry) => this.mark(entry),
  ): Promise<{ readonly marks: readonly Marked[]; readonly endSeq: number } | 'gone' | 'too far'> {
    const { head } = search;
    let endSeq = seq;
    for (const maxEvents of steps) {
      const page = await this.pageAfter(search, endSeq, maxEvents);
      if (page === undefined) return 'gone';
      const marks = page.entries.flatMap((entry) => markOf(entry) ?? []);
      endSeq = page.entries.at(-1)?.seq ?? head.seq;
      if (marks.length > 0 || endSeq >= head.seq) return { marks, endSeq };
    }
    return 'too far';
  }

  /** The value of the next event behind a place; undefined: none, or none nearby. @throws log_unavailable */
  async valueAfter(org: string, at: Position): Promise<string | undefined> {
    // With those that are holes: an instant may go on in one.
    const search = await this.begin(org, '');
    const found = await this.marksAfter(search, at.seq, stepEvents, (entry) => this.valued(entry));
    return typeof found === 'string' ? undefined : found.marks[0]?.value;
  }

  /** Undefined where nobody stands: what somebody else published names no place, whatever its id. */
  private mark(entry: LogEntry): Marked | undefined {
    const isSure = this.kindOf(entry) === 'source' || entry.isBridged === true;
    return isSure ? this.valued(entry) : undefined;
  }

  private valued(entry: LogEntry): Marked | undefined {
    if (this.kindOf(entry) === 'other') return undefined;
    const value = this.dialect.cursorOf(envelopeOf(entry));
    if (value === undefined) return undefined;
    const { seq, ms, tag } = entry;
    return { place: { seq, ms, tag }, value };
  }

  /** Undefined: retention has dropped what follows that seq, or the log is another by now. */
  private async pageAfter(search: Search, seq: number, maxEvents = pageLimits.maxEvents) {
    const { org, head } = search;
    search.reads += 1;
    const start = { at: 'lastSeq', seq, epoch: head.epoch } as const;
    const answer = await this.log.read(org, start, { ...pageLimits, maxEvents });
    return answer.kind === 'reset' ? undefined : answer;
  }
}
