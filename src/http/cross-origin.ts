/** CORS: pages of other origins that may ask and read; with cookies only those that are named, never `*`. */
import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { listedOrigin } from './origins.ts';

const common = {
  allowHeaders: ['Authorization', 'Content-Type', 'If-Match', 'Turnout-Audit', 'X-Request-Id'],
  exposeHeaders: ['ETag', 'Retry-After', 'X-Request-Id'],
  allowMethods: ['GET', 'POST', 'PUT', 'OPTIONS'],
  maxAge: 600,
};

export function crossOrigin(origins: readonly string[], takesCookies: boolean): MiddlewareHandler {
  const isListed = listedOrigin(origins);
  const all = cors({ ...common, origin: origins.includes('*') ? '*' : [...origins] });
  if (!takesCookies) return all;
  const withCookies = cors({
    ...common,
    credentials: true,
    origin: (origin) => (isListed(origin) ? origin : undefined),
  });
  return (c, next) => (isListed(c.req.header('origin') ?? '') ? withCookies(c, next) : all(c, next));
}
