/** The rules for browser pages of other origins: for CORS, for upgrades, and for requests that a cookie authenticates. */
import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';

/**
 * Returns whether a page of `origin` may open streams on `host`. The same origin always may; `null` (a sandboxed page, a file)
 * only where all origins may.
 * @param allowed origins such as `https://app.example.com`, or `*`
 */
export function originPolicy(allowed: readonly string[]) {
  const known = new Set(allowed.map((origin) => origin.toLowerCase()));
  return (origin: string, host: string | undefined): boolean =>
    known.has('*') || known.has(origin.toLowerCase()) || (host !== undefined && isSameHost(origin, host));
}

/** The headers in which a browser names the page that a request comes from. */
interface PageHeaders {
  readonly origin: string | undefined;
  readonly host: string | undefined;
  /** `Sec-Fetch-Site`. */
  readonly site?: string | undefined;
}

/** The cookie that authenticates its user. Browsers send it whatever page makes the request, so the page's origin counts. */
export interface CookiePolicy {
  readonly name: string;
  /** Whether a page may open a stream with the cookie: `*` names no origin, and a request without `Origin` has none. */
  mayOpen(origin: string | undefined, host: string | undefined): boolean;
  /** Whether a page may write with the cookie, or get a ticket. */
  mayChange(page: PageHeaders): boolean;
}

/** @param allowed TURNOUT_ORIGINS; undefined `name`: no cookie is taken */
export function cookiePolicy(name: string | undefined, allowed: readonly string[]): CookiePolicy | undefined {
  if (name === undefined) return undefined;
  const isOwnOrListed = originPolicy(allowed.filter((origin) => origin !== '*'));
  const isListed = listedOrigin(allowed);
  return {
    name,
    mayOpen: (origin, host) => origin !== undefined && isOwnOrListed(origin, host),
    mayChange({ origin, host, site }) {
      if (origin === undefined) return site === 'same-origin';
      // The same host with another scheme is another origin; behind a proxy that ends TLS only the browser sees that.
      const isForeign = site !== undefined && site !== 'same-origin';
      return isListed(origin) || (!isForeign && isOwnOrListed(origin, host));
    },
  };
}

/** Returns whether an origin is listed by name, not by `*`: only its pages may read answers to requests with a cookie. */
function listedOrigin(allowed: readonly string[]): (origin: string) => boolean {
  const known = new Set(allowed.filter((origin) => origin !== '*').map((origin) => origin.toLowerCase()));
  return (origin) => known.has(origin.toLowerCase());
}

function isSameHost(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

const corsOptions = {
  allowHeaders: ['Authorization', 'Content-Type', 'If-Match', 'Turnout-Audit', 'X-Request-Id'],
  exposeHeaders: ['ETag', 'Retry-After', 'X-Request-Id'],
  allowMethods: ['GET', 'POST', 'PUT', 'OPTIONS'],
  maxAge: 600,
};

/** CORS for pages of other origins; with cookies only for origins that are listed by name, never by `*`. */
export function crossOrigin(origins: readonly string[], takesCookies: boolean): MiddlewareHandler {
  const isListed = listedOrigin(origins);
  const named = (origin: string): string | undefined => (isListed(origin) ? origin : undefined);
  const all = cors({ ...corsOptions, origin: origins.includes('*') ? '*' : named });
  if (!takesCookies) return all;
  const withCookies = cors({ ...corsOptions, credentials: true, origin: named });
  return (c, next) => (isListed(c.req.header('origin') ?? '') ? withCookies(c, next) : all(c, next));
}
