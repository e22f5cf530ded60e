/**
 * Where in Turnout's log an old client stands: a cursor of the old API, which is a value kept with an event, as a position.
 * Found only where the log surely has everything after it; who can't be placed so is the old backend's to answer.
 */
import type { Envelope } from '../../../schema/envelope.ts';
import { placeOf, type Position } from '../../log/cursor.ts';
import type { LogEntry } from '../../log/entry.ts';
import { type EventLog, placeOnly } from '../../log/event-log.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { holeService } from '../bridge/batch.ts';

export interface PlacesOptions {
  readonly log: Pick<EventLog, 'read'>;
  readonly dialect: Dialect;
  /** Places remembered, the newest asked for. */
  readonly maxKnown?: number;
}

interface Page {
  readonly from: Position;
  readonly entries: readonly LogEntry[];
  readonly head: Position;
}

/** An entry of the source's, with the value that names its place in the old API. */
interface Marked {
  readonly entry: LogEntry;
  readonly value: string;
}

const pageLimits = { maxEvents: 200, maxBytes: 256 * 1024 };
// Of an unordered format, this many of the newest entries are looked through.
const maxScanned = 5000;
// Looking for one of the source's among other services': small steps first, since the next is mostly one.
const stepEvents = [16, 64, 256, 1000, 1000, 1000];

export class Places {
  private readonly log: Pick<EventLog, 'read'>;
  private readonly dialect: Dialect;
  private readonly services: ReadonlySet<string>;
  private readonly maxKnown: number;
  private readonly known = new Map<string, Position>();
  private readonly underway = new Map<string, Promise<Position | undefined>>();

  constructor({ log, dialect, maxKnown = 50_000 }: PlacesOptions) {
    this.log = log;
    this.dialect = dialect;
    this.services = new Set([...dialect.profile.request.services.fixed, holeService]);
    this.maxKnown = maxKnown;
  }

  /** The position after the event that `value` names; undefined where the log can't tell. @throws log_unavailable */
  async find(org: string, value: string): Promise<Position | undefined> {
    const key = `${org} ${value}`;
    const known = this.known.get(key);
    if (known !== undefined) {
      this.remember(org, value, known);
      return known;
    }
    // A hundred clients that were given one answer come back with one cursor.
    const underway = this.underway.get(key) ?? this.search(org, value);
    this.underway.set(key, underway);
    try {
      const found = await underway;
      if (found !== undefined) this.remember(org, value, found);
      return found;
    } finally {
      this.underway.delete(key);
    }
  }

  /** Who was given the event of that value stands here: their next poll need not be searched for. */
  remember(org: string, value: string, at: Position): void {
    const key = `${org} ${value}`;
    this.known.delete(key);
    this.known.set(key, at);
    if (this.known.size <= this.maxKnown) return;
    const [oldest] = this.known.keys();
    if (oldest !== undefined) this.known.delete(oldest);
  }

  /** The same for one user, for whom nothing lies between the event of that value and here. */
  rememberFor(user: string, org: string, value: string, at: Position): void {
    this.remember(org, valueFor(user, value), at);
  }

  knownFor(user: string, org: string, value: string): Position | undefined {
    return this.known.get(`${org} ${valueFor(user, value)}`);
  }

  /** That place was no longer in the log. */
  forget(user: string, org: string, value: string): void {
    this.known.delete(`${org} ${value}`);
    this.known.delete(`${org} ${valueFor(user, value)}`);
  }

  /** The value of the next event behind a place; undefined: none, or none nearby. @throws log_unavailable */
  async valueAfter(org: string, at: Position): Promise<string | undefined> {
    const { head } = await this.log.read(org, { at: 'head' }, placeOnly);
    const found = await this.marksAfter(org, at.seq, head, stepEvents);
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
  ): Promise<{ readonly marks: readonly Marked[]; readonly endSeq: number } | 'gone' | 'too far'> {
    let endSeq = seq;
    for (const maxEvents of steps) {
      const page = await this.pageAfter(org, endSeq, head, maxEvents);
      if (page === undefined) return 'gone';
      const marks = page.entries.flatMap((entry) => this.mark(entry) ?? []);
      endSeq = page.entries.at(-1)?.seq ?? head.seq;
      if (marks.length > 0 || endSeq >= head.seq) return { marks, endSeq };
    }
    return 'too far';
  }

  private mark(entry: LogEntry): Marked | undefined {
    if (!this.services.has(entry.service)) return undefined;
    const value = this.dialect.cursorOf(envelopeOf(entry));
    return value === undefined ? undefined : { entry, value };
  }

  /** Undefined: retention has dropped what follows that seq, or the log is another by now. */
  private async pageAfter(
    org: string,
    seq: number,
    head: Position,
    maxEvents = pageLimits.maxEvents,
  ): Promise<Page | undefined> {
    const answer = await this.log.read(
      org,
      { at: 'lastSeq', seq, epoch: head.epoch },
      { ...pageLimits, maxEvents },
    );
    return answer.kind === 'reset' ? undefined : answer;
  }
}

// No cursor has a line feed in it.
const valueFor = (user: string, value: string): string => `${value}\n${user}`;

// Entries are shared by all who read them: each is parsed once.
const envelopes = new WeakMap<LogEntry, Envelope>();

/** An entry as clients see it. */
export function envelopeOf(entry: LogEntry): Envelope {
  let envelope = envelopes.get(entry);
  if (envelope === undefined) {
    // What the log keeps was an envelope when it was appended.
    envelope = JSON.parse(entry.json.toString('utf8')) as Envelope;
    envelopes.set(entry, envelope);
  }
  return envelope;
}
