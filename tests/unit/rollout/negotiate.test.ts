import type { Hono } from 'hono';
import { generateSpecs } from 'hono-openapi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { negotiateResponseSchema } from '../../../schema/http.ts';
import { fail } from '../../../src/errors.ts';
import { negotiateRoute } from '../../../src/http/negotiate.ts';
import { decodeCursor } from '../../../src/log/cursor.ts';
import type { EventLog } from '../../../src/log/event-log.ts';
import { mounted, plainAuthenticator } from './http.ts';
import { by, stage, type Stage } from './support.ts';

const head = { epoch: 'e', seq: 7, ms: 1000, tag: 'tag' };
let on: Stage;
let app: Hono;
let read: EventLog['read'];
let negotiated: unknown[];

function open(env: Record<string, string>): void {
  on = stage(env);
  negotiated = [];
  read = async () => ({ kind: 'page', from: head, entries: [], head });
  app = mounted(
    negotiateRoute({
      authenticate: (c) => plainAuthenticator.verifyToken(c.req.header('authorization')?.slice(7)),
      authenticator: plainAuthenticator,
      decider: on.rollout.decider,
      store: on.rollout.store,
      log: { read: (...asked) => read(...asked) },
      basePath: '/rt',
      pingMs: 30_000,
      onNegotiated: (decision, { current, blocked }) => negotiated.push([decision.reason, current, blocked]),
    }) as never,
  );
}

beforeEach(() =>
  open({ REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '100', WS_AUTORECONNECT: '100' }),
);
afterEach(() => on.rollout.close());

async function negotiate(body?: unknown, headers: Record<string, string> = {}) {
  const response = await app.request('/v2/realtime/negotiate', {
    method: 'POST',
    headers: {
      authorization: 'Bearer acme/alice',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('negotiate', () => {
  it('answers an empty body with transport, reason, assignment, URLs, place and settings', async () => {
    const { status, body } = await negotiate();
    expect(status).toBe(200);
    const answer = negotiateResponseSchema.parse(body);
    expect(answer).toMatchObject({
      transport: 'websocket',
      cohort: 'canary',
      reason: 'rollout',
      assignment: on.rollout.decider.assignment,
      client: {
        autoreconnect: true,
        backoffMs: [1000, 2000, 4000, 8000, 16_000],
        jitter: 0.2,
        maxAttempts: 10,
        reconnectWithinMs: 2000,
        pingMs: 30_000,
      },
    });
    expect(answer.urls['long-poll']).toBe('/rt/v1/realtime/poll');
    expect(decodeCursor(answer.cursor ?? '')).toEqual(head);
  });

  it('gives a ticket that carries what the decision was made from', async () => {
    const { body } = await negotiate({ session: 's-1', supports: ['websocket'], override: 'long-poll' });
    const url = new URL(negotiateResponseSchema.parse(body).urls.websocket, 'http://gateway');
    expect(url.pathname).toBe('/rt/v2/realtime/stream');
    expect(JSON.parse(url.searchParams.get('ticket') ?? '')).toEqual({
      org: 'acme',
      sub: 'alice',
      session: 's-1',
      supports: ['websocket'],
      override: 'long-poll',
      assignment: body['assignment'],
    });
  });

  it('gives no cursor to a client that has one, nor while the log is away', async () => {
    expect((await negotiate({ cursor: 'c' })).body).not.toHaveProperty('cursor');
    read = async () => {
      throw fail('log_unavailable');
    };
    const { status, body } = await negotiate({});
    expect(status).toBe(200);
    expect(body).toMatchObject({ transport: 'websocket' });
    expect(body).not.toHaveProperty('cursor');
  });

  it('says unsupported to a client without WebSocket', async () => {
    expect((await negotiate({ supports: ['long-poll'] })).body).toMatchObject({
      transport: 'long-poll',
      reason: 'unsupported',
    });
  });

  it('counts what a client says of itself, and is not moved by it', async () => {
    await negotiate({ blocked: true, current: 'long-poll' });
    expect(negotiated).toEqual([['rollout', 'long-poll', true]]);
  });

  it('follows the rules: percent, flag, kill', async () => {
    const { control } = on.rollout;
    await control.kill(by);
    expect((await negotiate()).body).toMatchObject({ transport: 'long-poll', reason: 'kill-switch' });
  });

  it('honours an override only where the operator allows it', async () => {
    expect((await negotiate({ override: 'long-poll' })).body).toMatchObject({ reason: 'rollout' });
    await on.rollout.close();
    open({ REALTIME_STREAMING_V2: 'true', TURNOUT_ALLOW_OVERRIDE: 'true' });
    expect((await negotiate({ override: 'websocket' })).body).toMatchObject({
      transport: 'websocket',
      reason: 'override',
      client: { autoreconnect: false },
    });
  });

  it.each([
    ['{'],
    ['null'],
    ['[1]'],
    [{ supports: 'websocket' }],
    [{ assignment: -1 }],
    [{ override: 'carrier' }],
  ])('refuses %o', async (body) => {
    expect(await negotiate(body)).toMatchObject({ status: 400, body: { error: { code: 'bad_request' } } });
  });

  it('refuses a body that is too large, one that is not JSON, and a caller without token', async () => {
    expect((await negotiate({ sdk: 'x'.repeat(20_000) })).status).toBe(413);
    expect((await negotiate('<a/>', { 'content-type': 'text/xml' })).status).toBe(415);
    expect((await negotiate({}, { authorization: '' })).status).toBe(401);
  });

  it('describes itself in OpenAPI', async () => {
    const { paths } = await generateSpecs(app);
    expect(paths['/v2/realtime/negotiate']?.post?.responses).toHaveProperty('200');
  });
});
