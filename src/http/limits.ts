/**
 * The rate limit of requests from one address: bounded in memory, off for loopback. An address is the peer's, unless the peer
 * is a trusted proxy.
 */
import { BlockList, isIP } from 'node:net';
import { TokenBuckets } from '../async/token-buckets.ts';
import type { Clock } from '../clock.ts';
import { isLoopbackHost } from '../config/loopback.ts';

/** The part of a request that tells where it comes from; an IncomingMessage is one. */
interface Arrival {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export type RequestLimits = ReturnType<typeof createRequestLimits>;

/**
 * Makes a token bucket for each address: `perSecond` requests, as many at once.
 * @param trustedProxies addresses and CIDR ranges whose X-Forwarded-For is believed
 */
export function createRequestLimits(options: {
  readonly perSecond: number;
  readonly trustedProxies: readonly string[];
  readonly clock: Pick<Clock, 'monotonic'>;
}) {
  const { perSecond, clock } = options;
  const proxies = blockListOf(options.trustedProxies);
  // Without proxies the list isn't asked: that would cost each request an object.
  const trustsAny = options.trustedProxies.length > 0;
  const isTrusted = (address: string): boolean =>
    trustsAny && address !== '' && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  const addressOf = (arrival: Arrival): string | undefined => callerOf(arrival, isTrusted) || undefined;
  const networkOf = (arrival: Arrival): string | undefined => {
    const address = addressOf(arrival);
    return address === undefined || isLoopbackHost(address) ? undefined : networkIn(address);
  };
  const buckets = new TokenBuckets({ perSecond, burst: perSecond, clock });
  return {
    /** Returns the caller's own address; undefined where the socket is gone. */
    addressOf,
    /** Returns the caller's network, which limits by address count by; undefined where they are off: for loopback. */
    networkOf,
    /** True where the peer is a proxy whose X-Forwarded-For is believed. */
    trustsPeer: (arrival: Arrival): boolean => isTrusted(peerOf(arrival)),
    /** Counts one request. Returns 0 where it may pass, else the seconds after which the next may. */
    take(arrival: Arrival): number {
      const network = networkOf(arrival);
      return network === undefined ? 0 : buckets.take(network);
    },
  };
}

/** Returns the last address of the chain that is no trusted proxy's; anybody could have written the ones before it. */
function callerOf(arrival: Arrival, isTrusted: (address: string) => boolean): string {
  let caller = peerOf(arrival);
  if (!isTrusted(caller)) return caller;
  const chain = [arrival.headers['x-forwarded-for'] ?? ''].flat().join(',').split(',');
  const hops = chain.map((hop) => plain(hop.trim())).filter((hop) => hop !== '');
  while (isTrusted(caller)) {
    const hop = hops.pop();
    if (hop === undefined || isIP(hop) === 0) break;
    caller = hop;
  }
  return caller;
}

/** Returns the peer's address; empty where the socket is gone. */
const peerOf = ({ socket }: Arrival): string => plain(socket.remoteAddress ?? '');

/** Turns an IPv4 address of an IPv6 socket into the IPv4 address. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

/** Returns an IPv4 address itself, but the /64 of an IPv6 address, which one caller has. */
function networkIn(address: string): string {
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
