import type { Hono } from 'hono';
import { generateSpecs } from 'hono-openapi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  changeAnswerSchema,
  decisionBodySchema,
  rolloutBodySchema,
  sessionsBodySchema,
} from '../../../schema/admin.ts';
import { auditBodySchema } from '../../../schema/audit.ts';
import { adminRoutes } from '../../../src/http/admin.ts';
import { joinFleet } from '../../../src/http/admin-fleet.ts';
import { mounted, plainAuthenticator } from './http.ts';
import { session, stage, type Stage } from './support.ts';

const adminToken = 'the-admin-token-of-this-test';
const tokens = {
  user: 'acme/alice',
  viewer: 'acme/vera/viewer',
  operator: 'acme/otto/operator',
  admin: 'acme/ada/admin',
  token: adminToken,
};

let on: Stage;
let app: Hono;
let drains: number;
beforeEach(() => {
  on = stage({ REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '10' });
  drains = 0;
  const drain = (): void => {
    drains += 1;
  };
  app = mounted(
    adminRoutes({
      rollout: on.rollout,
      authenticator: plainAuthenticator,
      adminToken,
      drain,
    }) as never,
  );
  joinFleet({ rollout: on.rollout, sessions: on.sessions, clock: on.clock, drain, shadows: () => ({}) });
});
afterEach(() => on.rollout.close());

async function call(
  method: string,
  path: string,
  body?: unknown,
  as: keyof typeof tokens | undefined = 'operator',
  headers: Record<string, string> = {},
) {
  const response = await app.request(`/admin/v1${path}`, {
    method,
    headers: {
      ...(as && { authorization: `Bearer ${tokens[as]}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  // Answers are checked by their schemas or by matchers, field by field.
  return { status: response.status, headers: response.headers, body: (await response.json()) as never };
}

const place = { epoch: 'e', seq: 41, ms: 1000, tag: 'tag' };
const putRaw = (body: string, headers = {}) => call('PUT', '/rollout/percent', body, 'operator', headers);
const readSessions = async (query: string) =>
  sessionsBodySchema.parse((await call('GET', `/sessions${query}`, undefined, 'viewer')).body).sessions;
const version = (): number => on.rollout.decider.assignment;

describe('roles', () => {
  const operatorCalls: [string, string, object][] = [
    ['PUT', '/rollout/percent', { percent: 20, reason: 'r' }],
    ['PUT', '/rollout/enabled', { enabled: true, reason: 'r' }],
    ['PUT', '/rollout/flags/ws-autoreconnect', { percent: 10, reason: 'r' }],
    ['POST', '/rollout/kill', { reason: 'r' }],
    ['POST', '/rollout/unkill', { reason: 'r' }],
    ['POST', '/rollout/pause', { reason: 'r' }],
    ['POST', '/rollout/resume', { reason: 'r' }],
    ['POST', '/nodes/node-a/drain', { reason: 'r' }],
  ];
  const adminCalls: [string, string, object][] = [
    ['PUT', '/rollout/allowlist', { users: ['a'], reason: 'r' }],
    ['PUT', '/rollout/denylist', { users: ['a'], reason: 'r' }],
  ];
  const viewerCalls = ['/rollout', '/decisions/acme/alice', '/sessions', '/audit'];

  it.each(operatorCalls)('%s %s is the operator’s', async (method, path, body) => {
    for (const as of ['user', 'viewer'] as const)
      expect(await call(method, path, body, as)).toMatchObject({
        status: 403,
        body: { error: { code: 'role_required' } },
      });
    for (const as of ['operator', 'admin', 'token'] as const)
      expect((await call(method, path, body, as)).status).toBe(200);
  });

  it.each(adminCalls)('%s %s is the admin’s', async (method, path, body) => {
    for (const as of ['user', 'viewer', 'operator'] as const)
      expect((await call(method, path, body, as)).status).toBe(403);
    for (const as of ['admin', 'token'] as const)
      expect((await call(method, path, body, as)).status).toBe(200);
  });

  it.each(viewerCalls)('GET %s is the viewer’s', async (path) => {
    expect((await call('GET', path, undefined, 'user')).status).toBe(403);
    expect((await call('GET', path, undefined, 'viewer')).status).toBe(200);
  });

  it('nobody comes in without a token, or with most of the admin token', async () => {
    const without = await app.request('/admin/v1/rollout');
    expect(without.status).toBe(401);
    const nearly = { authorization: `Bearer ${adminToken.slice(0, -1)}` };
    expect((await app.request('/admin/v1/rollout', { headers: nearly })).status).toBe(401);
  });
});

it('tells of a node that answers in the words of another version as of one that is silent', async () => {
  const { fleet } = on.rollout;
  const own = fleet.ask.bind(fleet);
  fleet.ask = async (question) => {
    const { answers, missing } = await own(question);
    return { answers: new Map([...answers, ['node-b', { from: 'another version' }]]), missing };
  };
  on.sessions.add(session('alice', 'websocket'));
  const [rollout, sessions] = [await call('GET', '/rollout'), await call('GET', '/sessions')];
  expect(rollout).toMatchObject({ status: 200, body: { missing: ['node-b'] } });
  expect(sessions).toMatchObject({
    status: 200,
    body: { missing: ['node-b'], sessions: [{ user: 'alice' }] },
  });
});

describe('writes', () => {
  it('answer with the version, who has followed and who has not', async () => {
    const before = version();
    const { status, body } = await call('PUT', '/rollout/percent', { percent: 12.5, reason: 'canary' });
    expect(status).toBe(200);
    expect(body).toEqual({
      version: before + 1,
      written: true,
      acks: { 'node-a': before + 1 },
      laggards: [],
    });
    changeAnswerSchema.parse(body);
    expect((await call('GET', '/rollout')).body).toMatchObject({ percent: 12.5, version: before + 1 });
  });

  it.each([undefined, {}, { percent: 5 }, { percent: 5, reason: '' }, { percent: 5, reason: '  ' }])(
    'need a reason: %o',
    async (body) => {
      const answer = await call('PUT', '/rollout/percent', body);
      expect(answer).toMatchObject({ status: 400, body: { error: { code: 'bad_request' } } });
      expect(JSON.stringify(answer.body)).toContain('reason is required');
    },
  );

  it('say of a reason that is too long that it is', async () => {
    const { status, body } = await call('PUT', '/rollout/percent', { percent: 5, reason: 'x'.repeat(501) });
    expect(status).toBe(400);
    expect(JSON.stringify(body)).toContain('reason has more than 500 characters');
  });

  it.each([-1, 100.01, 101, 12.345, '10', 'abc', null, Number.NaN])('refuse percent %s', async (percent) => {
    const before = version();
    expect((await call('PUT', '/rollout/percent', { percent, reason: 'r' })).status).toBe(400);
    expect(version()).toBe(before);
  });

  it.each([0, 0.01, 0.07, 0.29, 2.25, 99.99, 100])('take percent %s', async (percent) => {
    expect((await call('PUT', '/rollout/percent', { percent, reason: 'r' })).status).toBe(200);
    expect((await call('GET', '/rollout')).body).toMatchObject({ percent });
  });

  it('honour If-Match: 409 tells who was first', async () => {
    const seen = `"${version()}"`;
    const put = (percent: number, as: 'operator' | 'admin') =>
      call('PUT', '/rollout/percent', { percent, reason: 'mine' }, as, { 'if-match': seen });
    expect((await put(20, 'admin')).status).toBe(200);
    const late = await put(30, 'operator');
    expect(late).toMatchObject({ status: 409, body: { error: { code: 'version_conflict' } } });
    expect(JSON.stringify(late.body)).toContain('acme/ada');
    expect((await call('GET', '/rollout')).headers.get('etag')).toBe(`"${version()}"`);
    const odd = { 'if-match': '"x"' };
    expect((await call('PUT', '/rollout/percent', { percent: 1, reason: 'r' }, 'operator', odd)).status).toBe(
      400,
    );
  });

  it('a kill needs no version and loses no race', async () => {
    const stale = { 'if-match': '"1"' };
    expect((await call('POST', '/rollout/kill', { reason: 'r' }, 'operator', stale)).status).toBe(200);
    expect((await call('GET', '/rollout')).body).toMatchObject({
      killed: true,
      killedBy: { rules: [{ who: 'acme/otto', reason: 'r' }], node: [expect.any(String)] },
    });
    expect((await call('POST', '/rollout/unkill', { reason: 'r' })).status).toBe(200);
    expect((await call('GET', '/rollout')).body).toMatchObject({
      killed: false,
      killedBy: { rules: [], node: [] },
    });
  });

  it('lists are deduplicated, bounded and of readable users', async () => {
    const put = (users: unknown) => call('PUT', '/rollout/allowlist', { users, reason: 'r' }, 'admin');
    expect((await put(['bob', 'acme/alice', 'bob'])).status).toBe(200);
    expect((await call('GET', '/rollout')).body).toMatchObject({ allowlist: ['bob', 'acme/alice'] });
    for (const users of [
      ['a b'],
      ['a/b/c'],
      [''],
      [1],
      'bob',
      Array.from({ length: 10_001 }, (_, at) => `u${at}`),
    ])
      expect((await put(users)).status).toBe(400);
  });

  it('change another flag, and no flag that is not there', async () => {
    const put = (name: string, body: object) =>
      call('PUT', `/rollout/flags/${name}`, { reason: 'r', ...body });
    expect((await put('ws-autoreconnect', { percent: 100 })).status).toBe(200);
    expect(on.rollout.decider.autoreconnect({ org: 'acme', sub: 'alice' })).toBe(true);
    expect((await put('ws-autoreconnect', { enabled: false })).status).toBe(200);
    expect(on.rollout.decider.autoreconnect({ org: 'acme', sub: 'alice' })).toBe(false);
    expect((await call('GET', '/rollout')).body).toMatchObject({
      flags: { 'ws-autoreconnect': { enabled: false, percent: 100 } },
    });
    expect((await put('ws-autoreconnect', {})).status).toBe(400);
    for (const name of ['nope', '__proto__', 'constructor'])
      expect((await put(name, { percent: 1 })).status).toBe(404);
  });

  it('take bodies that are JSON, and not what hides in them', async () => {
    for (const body of ['{', 'null', '[]', '"x"']) expect((await putRaw(body)).status).toBe(400);
    expect((await putRaw('x=1', { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(415);
    expect((await putRaw(`{"reason":"${'x'.repeat(5_000_000)}"}`)).status).toBe(413);
    const hidden =
      '{"percent":5,"reason":"r","__proto__":{"isAdmin":true},"constructor":{"prototype":{"x":1}}}';
    expect((await putRaw(hidden)).status).toBe(200);
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });

  it('pause and resume are told by the rollout', async () => {
    await call('POST', '/rollout/pause', { reason: 'lunch' });
    expect((await call('GET', '/rollout')).body).toMatchObject({ paused: ['operator'] });
    await call('POST', '/rollout/resume', { reason: 'back' });
    expect((await call('GET', '/rollout')).body).toMatchObject({ paused: [] });
  });

  it('drain this node, and no other', async () => {
    for (const node of ['other', 'constructor'])
      expect((await call('POST', `/nodes/${node}/drain`, { reason: 'r' })).status, node).toBe(404);
    expect(drains).toBe(0);
    expect((await call('POST', '/nodes/node-a/drain', { reason: 'r' })).body).toEqual({
      node: 'node-a',
      draining: true,
    });
    expect(drains).toBe(1);
  });
});

describe('reads', () => {
  it('the rollout counts cohorts by what is assigned and by what is connected', async () => {
    await call('PUT', '/rollout/percent', { percent: 100, reason: 'r' });
    on.sessions.add(session('alice', 'websocket'));
    on.sessions.add(session('bob', 'long-poll', { cohort: 'control' }));
    on.sessions.add(session('carol', 'long-poll', { cohort: 'canary' }));
    const { body } = await call('GET', '/rollout', undefined, 'viewer');
    expect(rolloutBodySchema.parse(body)).toMatchObject({
      cohorts: {
        canary: { assigned: 3, connected: { websocket: 1, 'long-poll': 1 } },
        control: { assigned: 0, connected: { websocket: 0, 'long-poll': 1 } },
      },
      moves: { inProgress: 0, doneBy: null },
    });
    await call('POST', '/rollout/kill', { reason: 'r' });
    expect((await call('GET', '/rollout')).body).toMatchObject({
      moves: { inProgress: 1, doneBy: expect.any(String) as string },
    });
  });

  it('a decision says why', async () => {
    const { body } = await call('GET', '/decisions/acme/alice', undefined, 'viewer');
    expect(decisionBodySchema.parse(body)).toMatchObject({ org: 'acme', user: 'alice', version: version() });
    expect((await call('GET', '/decisions/acme/a%20b')).status).toBe(400);
  });

  it('sessions are found by user and org, with their cursor', async () => {
    on.sessions.add(session('alice', 'websocket', { position: () => place, behind: () => 3 }));
    on.sessions.add(session('alice', 'long-poll', { org: 'globex' }));
    expect(await readSessions('?user=alice')).toHaveLength(2);
    expect(await readSessions('?org=globex')).toHaveLength(1);
    expect(await readSessions('?org=acme&user=alice')).toMatchObject([
      { seq: 41, behind: 3, transport: 'websocket' },
    ]);
    expect(await readSessions('?user=nobody')).toEqual([]);
  });

  it('the audit trail has who, when, from, to and why, newest first', async () => {
    await call('PUT', '/rollout/percent', { percent: 25, reason: 'more' }, 'token');
    await call('POST', '/nodes/node-a/drain', { reason: 'patching' });
    const { body } = await call('GET', '/audit', undefined, 'viewer');
    expect(auditBodySchema.parse(body).entries.slice(0, 2)).toMatchObject([
      { who: 'acme/otto', action: 'drain', to: 'node-a', reason: 'patching' },
      { who: 'admin-token', action: 'percent', from: 10, to: 25, reason: 'more', version: version() },
    ]);
  });

  it('list capped nodes and the variable, in the answers to writes too', async () => {
    const capped = stage({ REALTIME_STREAMING_V2: 'false' });
    app = mounted(
      adminRoutes({
        rollout: capped.rollout,
        authenticator: plainAuthenticator,
        adminToken,
        drain: () => {},
      }) as never,
    );
    const list = [{ node: 'node-a', variables: ['REALTIME_STREAMING_V2'] }];
    expect((await call('GET', '/rollout')).body).toMatchObject({ capped: list });
    expect((await call('PUT', '/rollout/percent', { percent: 5, reason: 'r' })).body).toMatchObject({
      capped: list,
    });
    await capped.rollout.close();
  });
});

it('describes itself in OpenAPI', async () => {
  const { paths } = await generateSpecs(app);
  const put = paths['/admin/v1/rollout/percent']?.put;
  expect(put?.requestBody).toMatchObject({
    content: {
      'application/json': { schema: { properties: { percent: { type: 'number', maximum: 100 } } } },
    },
  });
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(['/admin/v1/rollout', '/admin/v1/decisions/{org}/{user}', '/admin/v1/audit']),
  );
});
