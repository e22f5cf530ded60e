/**
 * Tells which requests the demo answers. Its routes ask for no token, so a page of another origin must neither read the
 * tokens that it shows nor publish through it.
 */
import type { Context, MiddlewareHandler } from 'hono';
import { isLoopbackHost } from '../config/loopback.ts';
import { fail } from '../errors.ts';

/** Refuses every request of another page. @throws origin_forbidden */
export const ownPageOnly: MiddlewareHandler = async (c, next) => {
  if (!isOwnPage(c)) throw fail('origin_forbidden');
  await next();
};

/** True for the demo's own page, and for a request without `Origin` to this machine, such as curl's. */
function isOwnPage(c: Context): boolean {
  const { host, hostname } = new URL(c.req.url);
  const origin = c.req.header('origin');
  const site = c.req.header('sec-fetch-site') ?? 'none';
  const isSame = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
  const isFromHere = site === 'none' || site === 'same-origin';
  // By the name asked for, too: a page elsewhere may make its own name point at this machine (DNS rebinding), and its browser
  // then takes this origin for that page's own.
  return isSame && isFromHere && isLoopbackHost(hostname);
}
