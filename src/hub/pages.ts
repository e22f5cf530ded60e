/**
 * Reads of the log for readers that the rings no longer serve: aligned pages, each read once however many want it, the
 * newest kept within a bound of bytes. A page only ever confirms a cursor; whatever it can't confirm the log itself is asked.
 */
import type { Clock } from '../clock.ts';
import { placeOf, type Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';
import type { EventLog, ReadAnswer, ReadLimits, Start } from '../log/event-log.ts';
import { overheadBytes } from './ring.ts';

export interface PagesOptions {
  readonly log: Pick<EventLog, 'read'>;
  readonly clock: Clock;
  /** Of all kept pages together; the default is plenty for a fleet that comes back at once. */
  readonly maxBytes?: number;
}

/** What retention still keeps, as far as a feed knows: older entries the log alone may vouch for. */
export interface Floor {
  /** Entries from here on are kept. */
  readonly seq: number;
  /** And those appended since. */
  readonly ms: number;
}

interface Page {
  /** Entries follow it without a hole. */
  readonly from: Position;
  readonly entries: readonly LogEntry[];
  readonly end: Position;
  readonly head: Position;
  readonly bytes: number;
  readonly readMs: number;
}

type PageAnswer = Extract<ReadAnswer, { kind: 'page' }>;

// Small enough that one reader a few events behind costs little, large enough that thousands share it.
const pageEvents = 128;
const pageLimits: ReadLimits = { maxEvents: pageEvents, maxBytes: 1024 * 1024 };
const readsAtOnce = 8;
// Retention and failovers go on beneath a kept page.
const maxAgeMs = 2000;
const defaultMaxBytes = 32 * 1024 * 1024;
// What a page costs besides its entries.
const pageOverheadBytes = 200;

export class Pages {
  private readonly options: PagesOptions;
  private readonly maxBytes: number;
  /** By org (which holds no slash) and the seq before their first entry; the least recently used first. */
  private readonly kept = new Map<string, Page>();
  private keptBytes = 0;
  private readonly underway = new Map<string, Promise<unknown>>();
  /** Keys of either map, by org: an org is forgotten without a look at the others. */
  private readonly keysOf = new Map<string, Set<string>>();
  private reading = 0;
  private readonly queue: (() => void)[] = [];

  constructor(options: PagesOptions) {
    this.options = options;
    this.maxBytes = options.maxBytes ?? defaultMaxBytes;
  }

  /**
   * As the log's `read`, but perhaps up to some seconds old where it confirms the start and brings entries. @throws log_unavailable
   */
  async read(org: string, start: Start, limits: ReadLimits, floor: Floor): Promise<ReadAnswer> {
    const confirmed = await this.confirm(org, start, limits);
    const oldest = confirmed?.entries[0];
    const isKept = oldest !== undefined && oldest.seq >= floor.seq && oldest.ms >= floor.ms;
    if (confirmed !== undefined && isKept) return confirmed;
    const key = `${org}/ask/${JSON.stringify([start, limits])}`;
    return this.once(org, key, () => this.readNow(org, start, limits));
  }

  /** Asks the log, after this call and for nobody else. @throws log_unavailable */
  async readNow(org: string, start: Start, limits: ReadLimits): Promise<ReadAnswer> {
    if (this.reading >= readsAtOnce) await new Promise<void>((resolve) => this.queue.push(resolve));
    else this.reading += 1;
    try {
      return await this.options.log.read(org, start, limits);
    } finally {
      const next = this.queue.shift();
      if (next === undefined) this.reading -= 1;
      else next();
    }
  }

  /** What was read of the org so far may be of another history. */
  forget(org: string): void {
    for (const key of this.keysOf.get(org) ?? []) {
      this.underway.delete(key);
      this.drop(key);
    }
    this.keysOf.delete(org);
  }

  /** An answer made of pages; undefined where they can't vouch for it. */
  private async confirm(org: string, start: Start, limits: ReadLimits): Promise<PageAnswer | undefined> {
    if (start.at === 'head' || start.at === 'earliest') return undefined;
    const { seq, epoch } = start.at === 'cursor' ? start.position : start;
    const page = await this.pageWith(org, seq);
    const from = page && placeIn(page, seq);
    if (page === undefined || from === undefined) return undefined;
    if (epoch !== undefined && epoch !== from.epoch) return undefined;
    if (start.at === 'cursor' && start.position.tag !== from.tag) return undefined;
    const entries = await this.collect(org, page, from, limits);
    // That nothing follows is only ever the log's to say.
    return entries.length > 0 ? { kind: 'page', from, entries, head: page.head } : undefined;
  }

  /** What follows `from`, a place of `first`, from that page on to the limits or the last page that joins. */
  private async collect(org: string, first: Page, from: Position, limits: ReadLimits): Promise<LogEntry[]> {
    const entries: LogEntry[] = [];
    let bytes = 0;
    let page: Page | undefined = first;
    let place = from;
    while (page !== undefined) {
      for (const entry of page.entries.slice(place.seq - page.from.seq)) {
        bytes += entry.json.length;
        const isOver = bytes > limits.maxBytes && entries.length > 0;
        if (isOver || entries.length >= limits.maxEvents) return entries;
        entries.push(entry);
      }
      place = page.end;
      if (place.seq >= page.head.seq || entries.length >= limits.maxEvents) return entries;
      page = await this.pageWith(org, place.seq);
      // A page of another history doesn't join on: the reader's next cursor will be told.
      const joint = page && placeIn(page, place.seq);
      if (joint?.tag !== place.tag || joint.epoch !== place.epoch) return entries;
    }
    return entries;
  }

  /** The page that holds what follows `seq`; undefined where there is none that begins at or before it. */
  private async pageWith(org: string, seq: number): Promise<Page | undefined> {
    let at = Math.floor(seq / pageEvents) * pageEvents;
    for (;;) {
      const page = await this.pageAt(org, at, seq);
      if (page === undefined || page.from.seq > seq) return undefined;
      if (seq < page.end.seq || page.end.seq >= page.head.seq) return page;
      // Cut short by its bytes: the rest of the aligned stretch is a page of its own.
      at = page.end.seq;
    }
  }

  private async pageAt(org: string, at: number, wantedSeq: number): Promise<Page | undefined> {
    const key = `${org}/page/${at}`;
    const page = this.kept.get(key);
    if (page !== undefined) {
      const isOld = this.options.clock.monotonic() - page.readMs > maxAgeMs;
      const wasHead = page.end.seq >= page.head.seq;
      if (!isOld && !(wasHead && wantedSeq >= page.end.seq)) {
        this.kept.delete(key);
        this.kept.set(key, page);
        return page;
      }
      this.drop(key);
    }
    const running: Promise<Page | undefined> = this.once(org, key, async () => {
      const read = await this.readPage(org, at);
      // Forgotten meanwhile: whoever waits may have it, nobody else.
      if (read !== undefined && this.underway.get(key) === running) this.keep(key, read);
      return read;
    });
    return running;
  }

  private async readPage(org: string, at: number): Promise<Page | undefined> {
    const readMs = this.options.clock.monotonic();
    let answer = await this.readNow(org, { at: 'lastSeq', seq: at }, pageLimits);
    // Retention has dropped its beginning: what is left of it is as good.
    if (answer.kind === 'reset' && answer.reason === 'expired')
      answer = await this.readNow(org, { at: 'earliest' }, pageLimits);
    if (answer.kind === 'reset') return undefined;
    const { from, head } = answer;
    const entries = answer.entries.filter(({ seq }) => seq <= at + pageEvents);
    const last = entries.at(-1);
    const end = last === undefined ? from : placeOf(from.epoch, last);
    const bytes = entries.reduce((sum, { json }) => sum + json.length + overheadBytes, pageOverheadBytes);
    return { from, entries, end, head, bytes, readMs };
  }

  private keep(key: string, page: Page): void {
    this.drop(key);
    this.kept.set(key, page);
    this.keptBytes += page.bytes;
    for (const oldest of this.kept.keys()) {
      if (this.keptBytes <= this.maxBytes) return;
      this.drop(oldest);
    }
  }

  private drop(key: string): void {
    const page = this.kept.get(key);
    if (page === undefined) return;
    this.kept.delete(key);
    this.keptBytes -= page.bytes;
    this.dropKey(key);
  }

  private dropKey(key: string): void {
    if (this.kept.has(key) || this.underway.has(key)) return;
    const org = key.slice(0, key.indexOf('/'));
    const keys = this.keysOf.get(org);
    keys?.delete(key);
    if (keys?.size === 0) this.keysOf.delete(org);
  }

  /** Single flight: who asks for the same while it is read waits for the same answer. */
  private once<T>(org: string, key: string, run: () => Promise<T>): Promise<T> {
    // Each key is asked for by one kind of run alone, so its promise is of that kind.
    const known = this.underway.get(key) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const running = run().finally(() => {
      if (this.underway.get(key) !== running) return;
      this.underway.delete(key);
      this.dropKey(key);
    });
    this.underway.set(key, running);
    const keys = this.keysOf.get(org);
    if (keys === undefined) this.keysOf.set(org, new Set([key]));
    else keys.add(key);
    return running;
  }
}

/** The place at `seq`, where the page knows it. */
function placeIn(page: Page, seq: number): Position | undefined {
  if (seq === page.from.seq) return page.from;
  const entry = page.entries[seq - page.from.seq - 1];
  return entry && placeOf(page.from.epoch, entry);
}
