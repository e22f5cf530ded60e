/** Which browser pages may come from another origin: for CORS, for upgrades, and for what a cookie may do. */
import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';

/**
 * Whether a page of `origin` may open streams on `host`. Same origin always may; `null` (a sandboxed page, a file) only
 * where all may.
 * @param allowed origins such as `https://app.example.com`, or `*`
 */
export function originPolicy(
  allowed: readonly string[],
): (origin: string, host: string | undefined) => boolean {
  const known = new Set(allowed.map((origin) => origin.toLowerCase()));
  return (origin, host) =>
    known.has('*') || known.has(origin.toLowerCase()) || (host !== undefined && isSameHost(origin, host));
}

/** What a browser says of the page that a request comes from. */
interface PageHeaders {
  readonly origin: string | undefined;
  readonly host: string | undefined;
  /** `Sec-Fetch-Site`. */
  readonly site?: string | undefined;
}

/** The cookie that stands for a token. Browsers send it along whatever page asks: so the page has to be looked at. */
export interface CookiePolicy {
  readonly name: string;
  /** Whether a page may open a stream by it: `*` lists nobody, and without an `Origin` nobody knows. */
  mayOpen(origin: string | undefined, host: string | undefined): boolean;
  /** Whether a page may change something by it, or be given a ticket. */
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
      // The same host by another scheme is another origin, which only the browser can see behind a proxy that ends TLS.
      const isForeign = site !== undefined && site !== 'same-origin';
      return isListed(origin) || (!isForeign && isOwnOrListed(origin, host));
    },
  };
}

/** Whether an origin is named, `*` apart: only such a page may read answers that a cookie brought. */
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

/** CORS: pages of other origins that may ask and read; with cookies only those that are named, never `*`. */
export function crossOrigin(origins: readonly string[], takesCookies: boolean): MiddlewareHandler {
  const isListed = listedOrigin(origins);
  const named = (origin: string): string | undefined => (isListed(origin) ? origin : undefined);
  const all = cors({ ...corsOptions, origin: origins.includes('*') ? '*' : named });
  if (!takesCookies) return all;
  const withCookies = cors({ ...corsOptions, credentials: true, origin: named });
  return (c, next) => (isListed(c.req.header('origin') ?? '') ? withCookies(c, next) : all(c, next));
}
