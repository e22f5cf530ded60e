/**
 * Tells whether a host is this machine's own: settings that are unsafe elsewhere, limits by address and the demo ask. Pure: no
 * name is resolved.
 */
import { isIP } from 'node:net';

// Every other name, `127.evil.example` too, may point anywhere, or here for the length of an attack (DNS rebinding).
const names = new Set(['localhost', '::1']);

/**
 * True for `localhost` and for literal loopback addresses alone.
 * @param host as a setting, a socket or a URL has it: `::1`, and `[::1]`
 */
export function isLoopbackHost(host: string): boolean {
  // URLs put IPv6 addresses in brackets.
  const address = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  return names.has(address) || (isIP(address) === 4 && address.startsWith('127.'));
}
