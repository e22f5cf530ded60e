/** Writes an answer past Hono's Response, which copies its body for each client: the same bytes can answer many. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Context } from 'hono';
import type { AppEnv } from './app.ts';

/** @param headers besides those of every answer */
export function answerDirectly(
  c: Context<AppEnv>,
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Response {
  const outgoing = c.env?.outgoing;
  // Reading `c.res` would make Hono build a Response, and another one when the handler returns.
  const shell = c.get('shellHeaders') ?? Object.fromEntries(c.res.headers);
  const all: Record<string, string> = { ...shell, ...headers };
  // Hono's cors() adds this after the handler, when the answer is on its way already.
  if ('access-control-allow-origin' in all) all['vary'] = 'Origin';
  if (outgoing === undefined) return new Response(new Uint8Array(body), { headers: all });
  if (!outgoing.destroyed) {
    outgoing.writeHead(200, { ...all, 'content-length': body.length });
    outgoing.end(body);
  }
  return RESPONSE_ALREADY_SENT;
}
