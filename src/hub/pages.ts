/**
 * Reads of the log for readers that the rings no longer serve: aligned pages, each read once however many want it, the
 * newest kept within a bound of bytes. A page only ever confirms a cursor; whatever it can't confirm the log itself is asked.
 */
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import { SingleFlight } from '../async/single-flight.ts';
import type { Clock } from '../clock.ts';
import { placeOf, type Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';
import type { EventLog, ReadAnswer, ReadLimits, Start } from '../log/event-log.ts';
import { overheadBytes } from './ring.ts';

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
}

// Small enough that one reader a few events behind costs little, large enough that thousands share it.
const pageEvents = 128;
const pageLimits: ReadLimits = { maxEvents: pageEvents, maxBytes: 1024 * 1024 };
const readsAtOnce = 8;
// Retention and failovers go on beneath a kept page.
const maxAgeMs = 2000;
// What a page costs besides its entries.
const pageOverheadBytes = 200;

/** What all pages of a node share: the log, the number of reads at once, and the bytes that are kept. */
export class PageCache {
  /** By the id of their org's `Pages` and the seq before their first entry. */
  readonly kept: LRUCache<string, Page>;
  readonly limit = pLimit(readsAtOnce);
  private ids = 0;

  /** @param maxBytes of all kept pages together; the default is plenty for a fleet that comes back at once. */
  constructor(
    readonly log: Pick<EventLog, 'read'>,
    readonly clock: Pick<Clock, 'monotonic'>,
    maxBytes = 32 * 1024 * 1024,
  ) {
    this.kept = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ bytes }) => bytes,
      ttl: maxAgeMs,
      ttlResolution: 0,
      perf: { now: () => clock.monotonic() },
    });
  }

  nextId(): number {
    this.ids += 1;
    return this.ids;
  }
}

/** One org's pages. */
export class Pages {
  /** A new one once all is forgotten: nothing that was kept under the old one, or is still being read, is found again. */
  private id: number;
  private reads = new SingleFlight<Page | undefined>();
  private asks = new SingleFlight<ReadAnswer>();

  constructor(
    private readonly cache: PageCache,
    private readonly org: string,
  ) {
    this.id = cache.nextId();
  }

  /**
   * As the log's `read`, but perhaps up to some seconds old where it confirms the start and brings entries. @throws log_unavailable
   */
  async read(start: Start, limits: ReadLimits, floor: Floor): Promise<ReadAnswer> {
    const confirmed = await this.confirm(start, limits);
    const oldest = confirmed?.entries[0];
    const isKept = oldest !== undefined && oldest.seq >= floor.seq && oldest.ms >= floor.ms;
    if (confirmed !== undefined && isKept) return confirmed;
    return this.asks.run(JSON.stringify([start, limits]), () => this.readNow(start, limits));
  }

  /** Asks the log, after this call and for nobody else. @throws log_unavailable */
  readNow(start: Start, limits: ReadLimits): Promise<ReadAnswer> {
    const { log, limit } = this.cache;
    return limit(() => log.read(this.org, start, limits));
  }

  /** What was read of the org so far may be of another history. */
  forget(): void {
    this.id = this.cache.nextId();
    this.reads = new SingleFlight();
    this.asks = new SingleFlight();
  }

  /** An answer made of pages; undefined where they can't vouch for it. */
  private async confirm(
    start: Start,
    limits: ReadLimits,
  ): Promise<Extract<ReadAnswer, { kind: 'page' }> | undefined> {
    if (start.at === 'head' || start.at === 'earliest') return undefined;
    const { seq, epoch } = start.at === 'cursor' ? start.position : start;
    const page = await this.pageWith(seq);
    const from = page && placeIn(page, seq);
    if (page === undefined || from === undefined) return undefined;
    if (epoch !== undefined && epoch !== from.epoch) return undefined;
    if (start.at === 'cursor' && start.position.tag !== from.tag) return undefined;
    const entries = await this.collect(page, from, limits);
    // That nothing follows is only ever the log's to say.
    return entries.length > 0 ? { kind: 'page', from, entries, head: page.head } : undefined;
  }

  /** What follows `from`, a place of `first`, from that page on to the limits or the last page that joins. */
  private async collect(first: Page, from: Position, limits: ReadLimits): Promise<LogEntry[]> {
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
      page = await this.pageWith(place.seq);
      // A page of another history doesn't join on: the reader's next cursor will be told.
      const joint = page && placeIn(page, place.seq);
      if (joint?.tag !== place.tag || joint.epoch !== place.epoch) return entries;
    }
    return entries;
  }

  /** The page that holds what follows `seq`; undefined where there is none that begins at or before it. */
  private async pageWith(seq: number): Promise<Page | undefined> {
    let at = Math.floor(seq / pageEvents) * pageEvents;
    for (;;) {
      const page = await this.pageAt(at, seq);
      if (page === undefined || page.from.seq > seq) return undefined;
      if (seq < page.end.seq || page.end.seq >= page.head.seq) return page;
      // Cut short by its bytes: the rest of the aligned stretch is a page of its own.
      at = page.end.seq;
    }
  }

  private async pageAt(at: number, wantedSeq: number): Promise<Page | undefined> {
    const { kept } = this.cache;
    const key = `${this.id}/${at}`;
    const page = kept.get(key);
    // A page that ended at the head says nothing of what follows: that may have come since.
    if (page !== undefined && (wantedSeq < page.end.seq || page.end.seq < page.head.seq)) return page;
    kept.delete(key);
    return this.reads.run(key, () => this.readPage(key, at));
  }

  private async readPage(key: string, at: number): Promise<Page | undefined> {
    const { clock, kept } = this.cache;
    const { id } = this;
    const start = clock.monotonic();
    let answer = await this.readNow({ at: 'lastSeq', seq: at }, pageLimits);
    // Retention has dropped its beginning: what is left of it is as good.
    if (answer.kind === 'reset' && answer.reason === 'expired')
      answer = await this.readNow({ at: 'earliest' }, pageLimits);
    if (answer.kind === 'reset') return undefined;
    const { from, head } = answer;
    const entries = answer.entries.filter(({ seq }) => seq <= at + pageEvents);
    const last = entries.at(-1);
    const end = last === undefined ? from : placeOf(from.epoch, last);
    const bytes = entries.reduce((sum, { json }) => sum + json.length + overheadBytes, pageOverheadBytes);
    const page = { from, entries, end, head, bytes };
    // Its age counts from before the read. Forgotten meanwhile, it is for its waiting readers alone.
    if (id === this.id) kept.set(key, page, { start });
    return page;
  }
}

/** The place at `seq`, where the page knows it. */
function placeIn(page: Page, seq: number): Position | undefined {
  if (seq === page.from.seq) return page.from;
  const entry = page.entries[seq - page.from.seq - 1];
  return entry && placeOf(page.from.epoch, entry);
}
