/**
 * What a group of readers is given next: the bytes of a stretch of the log, made once for all of them. A stretch is cut at
 * each event with `to`, so that its recipients get it between the shared pieces, in its place.
 */
import { limits } from '../../schema/codes.ts';
import type { Transport } from '../../schema/frames.ts';
import { placeOf, type Position } from '../log/cursor.ts';
import type { LogEntry } from '../log/entry.ts';
import { type FrameClass, frameClass } from '../metrics/traffic.ts';

/** A piece of a chunk: shared by all readers of the group, or one event for its recipients only. */
export interface Part {
  /** Null: for every reader of the group. */
  readonly to: ReadonlySet<string> | null;
  readonly bytes: Buffer;
  readonly entries: readonly LogEntry[];
  /** Compressed frames among the bytes. */
  readonly compressedFrames: number;
  /** The entries by class, for `ws_frames_sent_total`. */
  readonly tally: Readonly<Record<FrameClass, number>>;
}

export interface Chunk {
  /** Behind which it follows. */
  readonly from: Position;
  /** The last entry looked at: who was given this chunk stands here. */
  readonly end: Position;
  readonly parts: readonly Part[];
  /** True where every reader of the group receives every part. */
  readonly isShared: boolean;
}

/** How events are written for a kind of reader. One object a kind: groups are told apart by `name`. */
export interface Form {
  readonly name: string;
  readonly transport: Transport;
  /** Bounds of a chunk; one event is always taken, however large. */
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Bytes of consecutive entries that share their recipients. */
  readonly encode: (
    entries: readonly LogEntry[],
    epoch: string,
  ) => { readonly bytes: Buffer; readonly compressedFrames: number };
}

// Readers with another limit are another group for each set of services: few, so that many share what is cut for them.
const sharedLimits = [1, 10, 100, 500];

/** Returns how many events a group takes at most whose readers may have `limit` of them, by `firstOf`, or fewer. */
export const sharedLimit = (limit: number): number =>
  sharedLimits.find((shared) => shared >= limit) ?? limits.pollEvents;

export interface Stretch {
  /** Consecutive entries, in seq order, without holes. */
  readonly entries: Iterable<LogEntry>;
  readonly epoch: string;
  /** Where the stretch begins. */
  readonly from: Position;
}

// Bounds the work of one chunk for a reader whose services are rare in a busy org.
const maxLookedAt = 5000;

/** The next chunk of a stretch for readers of `services`. Its `end` is `from` where the stretch is empty. */
export function cutChunk(stretch: Stretch, services: ReadonlySet<string>, form: Form): Chunk {
  const { epoch } = stretch;
  const parts: Part[] = [];
  let last: LogEntry | undefined;
  let shared: LogEntry[] = [];
  let bytes = 0;
  let events = 0;
  let lookedAt = 0;
  const closeShared = (): void => {
    if (shared.length > 0) parts.push(makePart(null, shared, form, epoch));
    shared = [];
  };
  for (const entry of stretch.entries) {
    const isWanted = services.has(entry.service);
    const isFull = events >= form.maxEvents || bytes + entry.json.length > form.maxBytes;
    if ((isWanted && events > 0 && isFull) || lookedAt >= maxLookedAt) break;
    last = entry;
    lookedAt += 1;
    if (!isWanted) continue;
    events += 1;
    bytes += entry.json.length + 1;
    if (entry.to === null) {
      shared.push(entry);
    } else {
      closeShared();
      parts.push(makePart(new Set(entry.to), [entry], form, epoch));
    }
  }
  closeShared();
  const end = last === undefined ? stretch.from : placeOf(epoch, last);
  return { from: stretch.from, end, parts, isShared: parts.every((part) => part.to === null) };
}

const firsts = new WeakMap<Chunk, Map<number, Chunk>>();

/** The chunk's first events, as far as `limit`: one object for all who may have as many; the chunk itself where it has no more. */
export function firstOf(chunk: Chunk, limit: number, form: Form): Chunk {
  const events = chunk.parts.reduce((sum, { entries }) => sum + entries.length, 0);
  if (events <= limit) return chunk;
  const made = firsts.get(chunk) ?? new Map<number, Chunk>();
  firsts.set(chunk, made);
  let first = made.get(limit);
  if (first === undefined) {
    first = cutShort(chunk, limit, form);
    made.set(limit, first);
  }
  return first;
}

function cutShort({ from, end: { epoch }, parts }: Chunk, limit: number, form: Form): Chunk {
  const kept: Part[] = [];
  let left = limit;
  for (const part of parts) {
    if (left === 0) break;
    const entries = part.entries.slice(0, left);
    left -= entries.length;
    kept.push(entries.length === part.entries.length ? part : makePart(part.to, entries, form, epoch));
  }
  const last = kept.at(-1)?.entries.at(-1);
  const end = last === undefined ? from : placeOf(epoch, last);
  return { from, end, parts: kept, isShared: kept.every(({ to }) => to === null) };
}

function makePart(to: Part['to'], entries: readonly LogEntry[], form: Form, epoch: string): Part {
  const tally = { assistant_message: 0, typing: 0, error: 0, other: 0 };
  for (const entry of entries) tally[frameClass(entry.type)] += 1;
  return { to, entries, tally, ...form.encode(entries, epoch) };
}

/** The parts that `sub` receives; the chunk's own array where that is all of them. */
export function partsFor(chunk: Chunk, sub: string): readonly Part[] {
  return chunk.isShared ? chunk.parts : chunk.parts.filter((part) => part.to?.has(sub) ?? true);
}
