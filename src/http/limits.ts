/**
 * How many requests one address may make. Bounded in memory, off for loopback; set so that people behind one address
 * don't meet it. The address is the peer's unless the peer is a proxy that we trust.
 */
import { BlockList, isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { isLoopbackHost } from '../config/config.ts';

/** What of a request tells where it comes from; an IncomingMessage is one. */
interface Arrival {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface RequestLimits {
  /** Counts one request. 0: it may pass; else the seconds after which the next may. */
  take(arrival: Arrival): number;
  /** The caller's own address; undefined where the socket is gone. */
  addressOf(arrival: Arrival): string | undefined;
  /** The peer is a proxy whose word on the caller is believed. */
  trustsPeer(arrival: Arrival): boolean;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

const maxAddresses = 50_000;

/**
 * A token bucket for each address: `perSecond` requests, as many at once.
 * @param trustedProxies addresses and CIDR ranges whose X-Forwarded-For is believed
 */
export function createRequestLimits(options: {
  readonly perSecond: number;
  readonly trustedProxies: readonly string[];
  readonly clock: Pick<Clock, 'monotonic'>;
}): RequestLimits {
  const { perSecond, clock } = options;
  const trusted = blockListOf(options.trustedProxies);
  const trustsAny = options.trustedProxies.length > 0;
  // The longest unused is forgotten first, and was full again by then.
  const buckets = new LRUCache<string, Bucket>({ max: maxAddresses });

  // Without proxies the peer is the caller: asking the list would cost each request an object.
  const addressOf = (arrival: Arrival): string | undefined =>
    trustsAny ? callerOf(arrival, trusted) : plain(arrival.socket.remoteAddress ?? '') || undefined;
  return {
    addressOf,
    trustsPeer({ socket }) {
      const peer = plain(socket.remoteAddress ?? '');
      return trustsAny && peer !== '' && isTrusted(peer, trusted);
    },
    take(arrival) {
      const address = addressOf(arrival);
      if (address === undefined || isLoopbackHost(address)) return 0;
      const key = networkOf(address);
      const nowMs = clock.monotonic();
      const bucket = buckets.get(key) ?? { tokens: perSecond, atMs: nowMs };
      buckets.set(key, bucket);
      bucket.tokens = Math.min(perSecond, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
      bucket.atMs = nowMs;
      if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
      bucket.tokens -= 1;
      return 0;
    },
  };
}

/** The last address of the chain that no trusted proxy has: what stands before it, anybody could have written. */
function callerOf({ socket, headers }: Arrival, trusted: BlockList): string | undefined {
  const peer = plain(socket.remoteAddress ?? '');
  if (peer === '') return undefined;
  const forwarded = headers['x-forwarded-for'];
  const chain = (Array.isArray(forwarded) ? forwarded.join(',') : (forwarded ?? ''))
    .split(',')
    .map((hop) => plain(hop.trim()))
    .filter((hop) => hop !== '');
  let caller = peer;
  while (isTrusted(caller, trusted)) {
    const hop = chain.pop();
    if (hop === undefined || isIP(hop) === 0) break;
    caller = hop;
  }
  return caller;
}

function isTrusted(address: string, trusted: BlockList): boolean {
  return trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** An IPv4 address that came over an IPv6 socket is the IPv4 address. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

/** A caller has one IPv4 address, but a whole /64 of IPv6. */
function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  return [...front, ...Array.from({ length: zeros }, () => '0'), ...back].slice(0, 4).join(':');
}

function blockListOf(proxies: readonly string[]): BlockList {
  const list = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
