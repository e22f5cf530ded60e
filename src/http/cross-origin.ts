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
  const named = (origin: string): string | undefined => (isListed(origin) ? origin : undefined);
  const all = cors({ ...common, origin: origins.includes('*') ? '*' : named });
  if (!takesCookies) return all;
  const withCookies = cors({ ...common, credentials: true, origin: named });
  return (c, next) => (isListed(c.req.header('origin') ?? '') ? withCookies(c, next) : all(c, next));
}
