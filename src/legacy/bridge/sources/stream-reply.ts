/** Replies about Redis streams, as RESP2 and RESP3 bring them, and the order of their ids. Pure. */
import { cursorFormats } from '../../dialect/cursor.ts';

/** An entry of a stream, as Redis gives it: its fields are names and values in turns. */
export type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Every second one is the value of the one before. */
export function pairsOf<V = string>(list: readonly unknown[]): [name: string, value: V][] {
  const pairs: [string, V][] = [];
  for (let at = 0; at + 1 < list.length; at += 2) pairs.push([String(list[at]), list[at + 1] as V]);
  return pairs;
}

/** XREAD's reply: nothing, a list of pairs, or one list with keys and entries in turns. The shape is Redis's own. */
export function streamsOf(reply: unknown): [key: string, entries: readonly StreamEntry[]][] {
  if (!Array.isArray(reply)) return [];
  return Array.isArray(reply[0]) ? reply : pairsOf<readonly StreamEntry[]>(reply);
}

export const isEarlier = (one: string, other: string): boolean =>
  (cursorFormats['stream-id'].compare(one, other) ?? 0) < 0;

// Ids that were given by hand (`7-1`) tell no time: these begin in 2001.
const leastMs = 1e12;

/** The time in an id that Redis gave. */
export function msOfStreamId(id: string): number | undefined {
  const ms = Number(id.split('-')[0]);
  return ms >= leastMs && ms < leastMs * 10 ? ms : undefined;
}
