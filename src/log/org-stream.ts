/**
 * One org's log in memory: the kept entries, the place before them, the ids seen lately. It decides what an append stores
 * and what a start means; it knows no time, no tails and no other org.
 */
import type { ResetReason } from '../../schema/frames.ts';
import { origin, placeOf, type Position } from './cursor.ts';
import { entryJson, type LogEntry, type PreparedEvent, retainedBytes } from './entry.ts';
import { type AppendResult, Fenced, type ReadAnswer, type ReadLimits, type Start } from './event-log.ts';
import { IdempotencyWindow } from './idempotency-window.ts';
import { TrimmedList } from './trimmed-list.ts';

/** How much one org may keep; what is over any of the three goes, oldest first. */
export interface Retention {
  readonly ageMs: number;
  readonly events: number;
  /** Of JSON and recipients. The newest entry is kept however large it is. */
  readonly bytes: number;
  readonly ids: number;
  readonly idsAgeMs: number;
}

export interface Appended {
  readonly result: AppendResult;
  /** What was stored: the events that were no duplicates. */
  readonly entries: readonly LogEntry[];
  /** The place of the last entry before them. */
  readonly previous: Position;
}

export class OrgStream {
  private readonly kept = new TrimmedList<LogEntry>();
  private readonly ids: IdempotencyWindow;
  /** The place just before the first kept entry; when none is kept, it is the head. */
  private before: Position;
  private head: Position;
  private keptBytes = 0;
  /** The latest turn of each publisher that has turns. */
  private readonly fences = new Map<string, number>();

  constructor(
    private readonly epoch: string,
    private readonly newTag: () => string,
    private readonly retention: Retention,
  ) {
    this.ids = new IdempotencyWindow(retention.ids, retention.idsAgeMs);
    this.before = origin(epoch);
    this.head = this.before;
  }

  /** Neither an entry nor an id is left that a client could ask about. */
  get isForgotten(): boolean {
    return this.kept.length === 0 && this.ids.isEmpty;
  }

  /** @throws Fenced */
  append(publisher: string, events: readonly PreparedEvent[], nowMs: number, fence?: number): Appended {
    if (fence !== undefined && fence < (this.fences.get(publisher) ?? fence)) throw new Fenced(publisher);
    // A clock that went back must not take the order of append times with it.
    const ms = Math.max(this.head.ms, nowMs);
    this.ids.expire(ms);
    const previous = this.head;
    const entries: LogEntry[] = [];
    const firsts = new Map<string, number>();
    const results: AppendResult['results'][number][] = [];
    let { seq, tag } = previous;
    for (const event of events) {
      const key = `${publisher}\0${event.id}`;
      const first = this.ids.find(key) ?? firsts.get(key);
      if (first !== undefined) {
        results.push({ seq: first, id: event.id, duplicate: true });
        continue;
      }
      seq += 1;
      const prevTag = tag;
      tag = this.newTag();
      const { service, type, to, isBridged } = event;
      const json = entryJson(event, seq, ms);
      entries.push({ seq, ms, tag, prevTag, service, type, to, json, ...(isBridged && { isBridged }) });
      firsts.set(key, seq);
      results.push({ seq, id: event.id });
    }
    // Nothing was touched so far: an event that can't be encoded leaves no half of its batch behind.
    for (const [key, first] of firsts) this.ids.add(key, first, ms);
    for (const entry of entries) {
      this.kept.push(entry);
      this.keptBytes += retainedBytes(entry);
    }
    if (entries.length > 0) this.head = { epoch: this.epoch, seq, ms, tag };
    if (entries.length > 0 && fence !== undefined) this.fences.set(publisher, fence);
    this.trim(nowMs);
    return { result: { epoch: this.epoch, results }, entries, previous };
  }

  read(start: Start, { maxEvents, maxBytes }: ReadLimits, nowMs: number): ReadAnswer {
    this.trim(nowMs);
    const { head } = this;
    const from = this.resolve(start);
    if (typeof from === 'string') return { kind: 'reset', reason: from, head };
    const entries: LogEntry[] = [];
    let bytes = 0;
    for (let index = from.seq - this.before.seq; entries.length < maxEvents; index++) {
      const entry = this.kept.at(index);
      if (entry === undefined) break;
      bytes += entry.json.length;
      if (bytes > maxBytes && entries.length > 0) break;
      entries.push(entry);
    }
    return { kind: 'page', from, entries, head };
  }

  /** Drops what retention no longer keeps, as of `nowMs`. The head stays, with its tag. */
  trim(nowMs: number): void {
    const { ageMs, events, bytes } = this.retention;
    this.ids.expire(nowMs);
    for (let oldest = this.kept.at(0); oldest !== undefined; oldest = this.kept.at(0)) {
      const isOver = this.kept.length > events || (this.keptBytes > bytes && this.kept.length > 1);
      if (!isOver && nowMs - oldest.ms <= ageMs) return;
      this.before = placeOf(this.epoch, oldest);
      this.keptBytes -= retainedBytes(oldest);
      this.kept.dropFirst(1);
    }
  }

  /** The place at `seq`; undefined where retention dropped what was known of it. */
  private placeAt(seq: number): Position | undefined {
    if (seq === this.before.seq) return this.before;
    const entry = this.kept.at(seq - this.before.seq - 1);
    return entry && placeOf(this.epoch, entry);
  }

  private resolve(start: Start): Position | ResetReason {
    if (start.at === 'head') return this.head;
    if (start.at === 'earliest') return this.before;
    const { epoch, seq } = start.at === 'lastSeq' ? start : start.position;
    if (epoch !== undefined && epoch !== this.epoch) return 'epoch';
    if (seq > this.head.seq) return 'ahead';
    const place = this.placeAt(seq);
    if (place === undefined) return 'expired';
    // A tag is drawn anew for every append: another one at this seq means that history was written again.
    return start.at === 'cursor' && start.position.tag !== place.tag ? 'fork' : place;
  }
}
