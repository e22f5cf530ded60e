/** Replies about Redis streams, as RESP2 and RESP3 bring them, and the order of their ids. Pure. */

type Entry = readonly [id: string, fields: readonly string[]];

/** Every second one is the value of the one before. */
export function pairsOf(list: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < list.length; at += 2) pairs.push([list[at] ?? '', list[at + 1] ?? '']);
  return pairs;
}

/** XREAD's reply: nothing, a list of pairs, or one list with keys and entries in turns. The shape is Redis's own. */
export function streamsOf(reply: unknown): (readonly [key: string, entries: readonly Entry[]])[] {
  if (!Array.isArray(reply)) return [];
  if (Array.isArray(reply[0])) return reply as [string, Entry[]][];
  const streams: [string, Entry[]][] = [];
  for (let at = 0; at + 1 < reply.length; at += 2)
    streams.push([String(reply[at]), reply[at + 1] as Entry[]]);
  return streams;
}

export function isEarlier(one: string, other: string): boolean {
  const [a, b] = [one, other].map((id) => id.split('-').map((part) => BigInt(/^\d+$/.test(part) ? part : 0)));
  const [aMs = 0n, aSeq = 0n] = a ?? [];
  const [bMs = 0n, bSeq = 0n] = b ?? [];
  return aMs === bMs ? aSeq < bSeq : aMs < bMs;
}

// Ids that were given by hand (`7-1`) tell no time: these begin in 2001.
const leastMs = 1e12;

/** The time in an id that Redis gave. */
export function msOfStreamId(id: string): number | undefined {
  const ms = Number(id.split('-')[0]);
  return ms >= leastMs && ms < leastMs * 10 ? ms : undefined;
}
