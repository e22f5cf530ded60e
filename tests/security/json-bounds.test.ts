/** What a caller's JSON may cost: a refusal reads no body, and no text that is nested or divided beyond its bounds is parsed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { profileSchema } from '../../schema/profile.ts';
import { demoBackend } from '../../src/demo/backend.ts';
import { adminRoutes } from '../../src/http/admin.ts';
import { atMost } from '../../src/http/json-body.ts';
import { negotiateRoute } from '../../src/http/negotiate.ts';
import { systemClock } from '../../src/clock.ts';
import { LegacyExchange } from '../../src/legacy/proxy/exchange.ts';
import { eventOf } from '../../src/legacy/bridge/batch.ts';
import { createDialect } from '../../src/legacy/dialect/profile-dialect.ts';
import { parseClientFrame, parseFirstFrame } from '../../src/transports/client-frames.ts';
import { bridgeProfile, pollSource } from '../support/bridge-profiles.ts';
import { edgeApp } from '../support/edge-app.ts';
import { mounted, plainAuthenticator } from '../unit/rollout/http.ts';
import { stage } from '../unit/rollout/support.ts';

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const tooDeep = nested(limits.jsonDepth + 1);
const tooMany = `[${'[],'.repeat(limits.jsonParts)}0]`;
const event = (payload: string): string => `{"service":"chat","type":"note","payload":${payload}}`;
const producer = { sub: 'backend', roles: ['producer'] };
const user = { publish: ['chat'] };

/** Bodies that say how much of them was read. */
function watchedBody(bytes: number) {
  let read = 0;
  const chunk = new TextEncoder().encode('['.repeat(64 * 1024));
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (read >= bytes) return controller.close();
        read += chunk.length;
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 0 },
  );
  return { body, read: () => read };
}

/** The routes of the rollout, with tokens that say who they are. */
function rolloutApp() {
  const on = stage();
  const app = mounted(
    adminRoutes({
      rollout: on.rollout,
      authenticator: plainAuthenticator,
      adminToken: undefined,
      drain: () => undefined,
    }) as never,
    negotiateRoute({
      authenticate: (c) => plainAuthenticator.verifyToken(c.req.header('authorization')?.slice(7)),
      authenticator: plainAuthenticator,
      decider: on.rollout.decider,
      store: on.rollout.store,
      log: edgeApp().log,
      basePath: '',
      pingMs: 30_000,
    }) as never,
  );
  return app;
}

describe('a caller without the right', () => {
  it.each([
    ['/v2/realtime/publish', {}, 403],
    ['/v2/realtime/publish', { publish: [] }, 403],
    ['/v1/publish', user, 403],
  ])('is refused by POST %s before its body is read: %o', async (path, claims, status) => {
    const edge = edgeApp();
    const { body, read } = watchedBody(4 * 1024 * 1024);
    const headers = {
      authorization: `Bearer ${await edge.token(claims)}`,
      'content-type': 'application/json',
    };
    const request = new Request(`http://turnout${path}`, { method: 'POST', headers, body, duplex: 'half' });
    expect((await edge.app.fetch(request)).status).toBe(status);
    expect(read()).toBe(0);
  });

  it.each([
    ['PUT', '/admin/v1/rollout/percent', 'acme/alice', 403],
    ['PUT', '/admin/v1/rollout/allowlist', 'acme/otto/operator', 403],
    ['POST', '/admin/v1/rollout/kill', 'acme/alice', 403],
    ['POST', '/v2/realtime/negotiate', '', 401],
  ])('is refused by %s %s before its body is read', async (method, path, token, status) => {
    const { body, read } = watchedBody(4 * 1024 * 1024);
    const headers = { authorization: `Bearer ${token}` };
    const options = { method, headers, body, duplex: 'half' as const };
    const request = new Request(`http://turnout${path}`, options);
    expect((await rolloutApp().fetch(request)).status).toBe(status);
    expect(read()).toBe(0);
  });
});

describe('a body', () => {
  it('has at most what its route can hold: an end user one event, a backend a batch, an operator a reason', async () => {
    const edge = edgeApp();
    const white = (bytes: number): string => event('1') + ' '.repeat(bytes);
    expect((await edge.post('/v2/realtime/publish', white(3 * limits.eventBytes), user)).status).toBe(413);
    expect((await edge.post('/v1/publish', white(3 * limits.batchBytes), producer)).status).toBe(413);
    const headers = { authorization: 'Bearer acme/ada/admin', 'content-type': 'application/json' };
    const put = async (path: string, body: string): Promise<number> =>
      (await rolloutApp().request(`/admin/v1${path}`, { method: 'PUT', headers, body })).status;
    expect(await put('/rollout/percent', `{"percent":1,"reason":"r"}${' '.repeat(16 * 1024)}`)).toBe(413);
    const users = Array.from(
      { length: 10_000 },
      (_, at) => `${'o'.repeat(128)}/${'u'.repeat(123)}${10_000 + at}`,
    );
    expect(await put('/rollout/allowlist', JSON.stringify({ users, reason: 'r'.repeat(500) }))).toBe(200);
  });

  it('of a full event or batch passes as libraries write it that escape all but ASCII', async () => {
    const edge = edgeApp();
    const [full, escaped] = ['é', String.raw`\u00e9`].map((text) =>
      event(`"${text.repeat((limits.eventBytes - 60) / 2)}"`),
    );
    expect(escaped?.length).toBeGreaterThan(2 * limits.eventBytes);
    for (const body of [full, escaped])
      expect((await edge.post('/v2/realtime/publish', body, user)).status).toBe(200);
    const batch = `{"events":[${Array.from({ length: 15 }, () => escaped).join()}]}`;
    expect((await edge.post('/v1/publish', batch, producer)).status).toBe(200);
  });

  it.each([
    ['deeper', tooDeep],
    ['keys, lists and objects', tooMany],
  ])('with more than its bounds is refused by every route, in words: %s', async (word, json) => {
    const edge = edgeApp();
    const answers = [await edge.post('/v1/publish', event(json), producer)];
    if (json === tooDeep) answers.push(await edge.post('/v2/realtime/publish', event(json), user));
    for (const { status, body } of answers) {
      expect(status).toBe(400);
      expect(JSON.stringify(body)).toContain(word);
    }
    const app = rolloutApp();
    const ask = async (method: string, path: string, token: string) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const response = await app.request(path, { method, headers, body: `{"users":${json},"reason":"r"}` });
      return [response.status, await response.text()] as const;
    };
    const list = await ask('PUT', '/admin/v1/rollout/denylist', 'acme/ada/admin');
    expect(list).toEqual([400, expect.stringContaining(word)]);
    if (json !== tooDeep) return;
    expect(await ask('POST', '/v2/realtime/negotiate', 'acme/ann')).toEqual([
      400,
      expect.stringContaining(word),
    ]);
    expect(await ask('POST', '/admin/v1/rollout/kill', 'acme/otto/operator')).toEqual([
      400,
      expect.stringContaining(word),
    ]);
  });

  it('as deep as the bound is taken by every way of publishing', async () => {
    const edge = edgeApp();
    const payload = nested(limits.jsonDepth - 1);
    expect((await edge.post('/v1/publish', event(payload), producer)).status).toBe(200);
    const frame = `{"type":"publish","id":"a","service":"chat","event":{"type":"n","payload":${nested(limits.jsonDepth - 2)}}}`;
    expect(parseClientFrame(frame)).toMatchObject({ ok: true });
    const quoted = event(JSON.stringify(tooDeep + tooMany.slice(0, 1000)));
    expect((await edge.post('/v1/publish', quoted, producer)).status).toBe(200);
  });

  it('that curl posts to the demo is a text where it is nested too deep', async () => {
    const payloads: unknown[] = [];
    const publish = async (_org: string, { payload }: { payload: unknown }) => {
      payloads.push(payload);
      return { id: 'a' };
    };
    const app = demoBackend(publish, atMost);
    for (const path of ['/finance/revenue', '/guest-checkin/bulk'])
      await app.request(path, { method: 'POST', body: tooDeep });
    expect(payloads).toMatchObject([tooDeep.slice(0, 1000), { posted: tooDeep.slice(0, 1000) }]);
  });
});

it('a frame with more than the bounds is answered by an error, and a first one ends the stream', () => {
  const payload = nested(4108);
  const frame = `{"type":"publish","id":"a","service":"chat","event":{"type":"n","payload":${payload}}}`;
  expect(parseClientFrame(frame)).toMatchObject({ ok: false, error: { code: 'bad_field' } });
  expect(() => parseFirstFrame(`{"services":["chat"],"version":1,"x":${payload}}`)).toThrow(
    expect.objectContaining({ code: 'bad_frame' }),
  );
});

it('a legacy poll whose body is nested too deep is the upstream’s to answer', async () => {
  const { source: _, ...plain } = bridgeProfile('old', pollSource(['acme']));
  const request = { ...plain.request, cursor: { ...plain.request.cursor, in: 'body' } };
  const profile = profileSchema.parse({ ...plain, match: { ...plain.match, method: 'POST' }, request });
  const read = (body: string) => {
    const told = { url: '/api/old', headers: {} };
    const incoming = Object.assign(Readable.from([Buffer.from(body)]), told) as unknown as IncomingMessage;
    return new LegacyExchange(profile, incoming, {} as ServerResponse, {
      network: undefined,
      bodyMs: 10_000,
      clock: systemClock,
    }).read();
  };
  expect(await read(`{"since":4,"x":${nested(4108)}}`)).toBeUndefined();
  expect(await read(`{"since":4,"x":${nested(10)}}`)).toMatchObject({ body: { since: 4 } });
});

it('an item of a source that is nested too deep leaves a hole under its own id', () => {
  const dialect = createDialect(bridgeProfile('old', pollSource(['acme'])));
  const of = (depth: number) => {
    const item: unknown = JSON.parse(`{"seq":7,"kind":"note","payload":${nested(depth)}}`);
    return eventOf(dialect, { item, at: 'here', ms: 0 }, 'acme');
  };
  for (const depth of [limits.jsonDepth + 1, 1000, 4108])
    expect(of(depth)).toMatchObject({
      event: { id: '7', service: 'turnout/hole' },
      why: expect.stringContaining('nested') as string,
    });
  expect(of(limits.jsonDepth)).toMatchObject({ event: { id: '7', service: 'updates' } });
  expect(of(limits.jsonDepth).why).toBeUndefined();
});
