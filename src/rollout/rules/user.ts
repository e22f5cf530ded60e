/**
 * A user as flags and lists know one, and where the user stands in a rollout: the hash that Unleash uses, and the buckets of
 * 0.01 % that are made from it. Both are frozen: another hash would move everybody.
 */

export interface User {
  readonly org: string;
  readonly sub: string;
}

/** `org/sub`: what stickiness hashes. Neither part may hold a slash, so no two users share one. */
export const userId = (user: User): string => `${user.org}/${user.sub}`;

/** Buckets of a rollout: one for each 0.01 %. */
export const bucketCount = 10_000;

/**
 * MurmurHash3, x86, 32 bits, over the low byte of each UTF-16 unit, as `murmurhash3js` (which Unleash's Node SDK uses)
 * does: equal to it for every string, and to other SDKs for ASCII ones.
 */
export function murmur32(text: string, seed = 0): number {
  const tail = text.length & ~3;
  let hash = seed;
  for (let at = 0; at < tail; at += 4) {
    const word =
      byte(text, at) | (byte(text, at + 1) << 8) | (byte(text, at + 2) << 16) | (byte(text, at + 3) << 24);
    hash = rotate(hash ^ scramble(word), 13);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let at = text.length - 1; at >= tail; at -= 1) rest = (rest << 8) | byte(text, at);
  if (tail < text.length) hash ^= scramble(rest);
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const byte = (text: string, at: number): number => text.charCodeAt(at) & 0xff;
const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));
const scramble = (word: number): number => Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);

/**
 * The bucket, 0–9999, of `id` in the group; it is in at `percent` when the bucket is below `percent × 100`. Stock Unleash
 * lets in `hash % 100 + 1 <= percent`: that is the leading part here, so that both agree at every whole percent, and the
 * hash's next two digits cut each percent into hundredths.
 */
export function bucketOf(groupId: string, id: string): number {
  const hash = murmur32(`${groupId}:${id}`);
  return (hash % 100) * 100 + (Math.floor(hash / 100) % 100);
}
