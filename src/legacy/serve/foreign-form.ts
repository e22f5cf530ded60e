/** How events are written for the clients of another API: each once, for all who are given it. */
import { limits } from '../../../schema/codes.ts';
import { type Chunk, type Form, partsFor } from '../../hub/chunk.ts';
import type { LogEntry } from '../../log/entry.ts';

/** One kind of other API: its name tells its groups from others'. */
export interface ForeignWords {
  readonly name: string;
  /** The event in the other API's shape, as JSON; undefined where that API has no such event, and its clients get none. */
  write(entry: LogEntry): string | undefined;
}

/** @param maxEvents the most that one answer may hold */
export function foreignForm(words: ForeignWords, maxEvents: number): Form {
  return {
    name: `${words.name}-${maxEvents}`,
    transport: 'long-poll',
    maxEvents,
    maxBytes: limits.pollBytes,
    encode: (entries) => {
      const json = entries.flatMap((entry) => words.write(entry) ?? []);
      return { bytes: Buffer.from(json.join(',')), compressedFrames: 0 };
    },
  };
}

export interface ForeignEvents {
  /** JSON of the events, in order; a piece may be several of them, separated by commas. */
  readonly pieces: readonly string[];
  /** The last of them. */
  readonly last: LogEntry;
}

/**
 * What `sub` is given of a chunk; undefined where that is nothing.
 * @param isLeft entries at its end that are left out
 */
export function foreignEvents(
  words: ForeignWords,
  chunk: Chunk,
  sub: string,
  isLeft?: (entry: LogEntry) => boolean,
): ForeignEvents | undefined {
  const parts = partsFor(chunk, sub).filter(({ bytes }) => bytes.length > 0);
  if (isLeft !== undefined) {
    const all = parts.flatMap(({ entries }) => entries);
    // From the end alone: one of the same kind that stands before the last would not come again behind it.
    const end = all.findLastIndex((entry) => words.write(entry) !== undefined && !isLeft(entry));
    const last = all[end];
    const given = all.slice(0, end + 1).flatMap((entry) => words.write(entry) ?? []);
    return last && { pieces: [given.join(',')], last };
  }
  const last = parts.at(-1)?.entries.findLast((entry) => words.write(entry) !== undefined);
  if (last === undefined) return undefined;
  return { pieces: parts.map(({ bytes }) => bytes.toString('utf8')), last };
}
