/** Tells whether a host is this machine's own. Pure: no name is resolved. */
import { isIP } from 'node:net';

/**
 * True for `localhost` and for literal loopback addresses alone. Any other name may point anywhere, or here for the length of
 * an attack, `127.evil.example` too.
 */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
