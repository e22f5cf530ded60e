/** Each call of the admin API lets in its role and those above it, and nobody else; and no log line holds a secret. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NegotiateResponse } from '../../schema/http.ts';
import { call } from '../support/http-client.ts';
import { openNode, type OwnNode } from '../support/own-node.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, testAdminToken, testSecret } from '../support/token-maker.ts';

let node: OwnNode;
beforeAll(async () => {
  node = await openNode();
});
afterAll(() => node.drain());

const callers = {
  nobody: async () => undefined,
  forger: () => makeToken({ roles: ['admin'] }, 'a secret of somebody else, of 32 chars'),
  user: () => makeToken(),
  producer: () => makeToken({ roles: ['producer'], orgs: ['*'] }),
  viewer: () => makeToken({ roles: ['viewer'] }),
  operator: () => makeToken({ roles: ['operator'] }),
  admin: () => makeToken({ roles: ['admin'] }),
  'the admin token': async () => testAdminToken,
};
type Caller = keyof typeof callers;
const ranks: Readonly<Record<Caller, number>> = {
  nobody: -1,
  forger: -1,
  user: 0,
  producer: 0,
  viewer: 1,
  operator: 2,
  admin: 3,
  'the admin token': 3,
};
const needs = { viewer: 1, operator: 2, admin: 3 } as const;

const reason = 'a test';
const calls: readonly [keyof typeof needs, string, string, object?][] = [
  ['viewer', 'GET', '/rollout'],
  ['viewer', 'GET', '/decisions/acme/ann'],
  ['viewer', 'GET', '/sessions'],
  ['viewer', 'GET', '/legacy/shadow'],
  ['viewer', 'GET', '/audit'],
  ['operator', 'PUT', '/rollout/percent', { percent: 100, reason }],
  ['operator', 'PUT', '/rollout/enabled', { enabled: true, reason }],
  ['operator', 'PUT', '/rollout/flags/ws-autoreconnect', { percent: 100, reason }],
  ['operator', 'POST', '/rollout/kill', { reason }],
  ['operator', 'POST', '/rollout/unkill', { reason }],
  ['operator', 'POST', '/rollout/pause', { reason }],
  ['operator', 'POST', '/rollout/resume', { reason }],
  // Of no node, so that this one goes on: whoever may is told that.
  ['operator', 'POST', '/nodes/nobody/drain', { reason }],
  ['admin', 'PUT', '/rollout/allowlist', { users: ['acme/ann'], reason }],
  ['admin', 'PUT', '/rollout/denylist', { users: ['acme/ben'], reason }],
];

/** 401 for nobody, 403 below the role, else neither. */
const verdictOf = (status: number): string =>
  status === 401 ? 'unknown' : status === 403 ? 'forbidden' : status < 500 ? 'let in' : `failed: ${status}`;

describe.each(calls)('the %s’s %s %s', (role, method, path, body) => {
  it.each(Object.keys(callers) as Caller[])('knows what %s may', async (caller) => {
    const rank = ranks[caller];
    const expected = rank < 0 ? 'unknown' : rank < needs[role] ? 'forbidden' : 'let in';
    const token = await callers[caller]();
    const { status } = await call(`${node.url}/admin/v1${path}`, { method, token, ...(body && { body }) });
    expect(verdictOf(status)).toBe(expected);
  });
});

it('every call of the admin API is in this table', async () => {
  const { body } = await call<{ paths: Record<string, Record<string, unknown>> }>(`${node.url}/openapi.json`);
  const described = Object.entries(body.paths)
    .filter(([path]) => path.startsWith('/admin/v1/'))
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  const form = (path: string): string => path.replaceAll(/\{[^}]+\}/g, '[^/]+');
  for (const one of described)
    expect(
      calls.filter(([, method, path]) => new RegExp(`^${form(one)}$`).test(`${method} /admin/v1${path}`)),
      one,
    ).not.toEqual([]);
  expect(described).toHaveLength(calls.length);
});

it('neither a query, a cookie, a body nor a header of another name lets anybody in', async () => {
  const token = await makeToken({ roles: ['admin'] });
  const url = `${node.url}/admin/v1/rollout`;
  for (const secret of [token, testAdminToken]) {
    expect((await call(`${url}?access_token=${secret}&token=${secret}`)).status).toBe(401);
    for (const headers of [
      { cookie: `token=${secret}; sid=${secret}` },
      { 'x-api-key': secret },
      { 'proxy-authorization': `Bearer ${secret}` },
      { authorization: secret },
      { authorization: `Basic ${Buffer.from(`admin:${secret}`).toString('base64')}` },
      { authorization: `Bearer ${secret} ${secret}` },
    ])
      expect((await call(url, { headers })).status, JSON.stringify(Object.keys(headers))).toBe(401);
  }
});

it('no token, ticket or secret is in any line of the log, at its most talkative', async () => {
  const token = await makeToken({ sub: 'logged', publish: ['chat'] });
  const first = { services: ['chat'], version: 1 };
  const { body } = await call<NegotiateResponse>(`${node.url}/v2/realtime/negotiate`, { token, body: {} });
  const ticket = new URL(body.urls.websocket, node.url).searchParams.get('ticket') ?? '';
  const bad = `${token.slice(0, -6)}AAAAAA`;
  const queries: Record<string, string>[] = [
    { ticket },
    { access_token: token },
    { access_token: bad },
    { ticket: bad },
  ];
  for (const query of queries) {
    const stream = new StreamClient(node.url, { query, first });
    await stream.next('ack').catch(() => undefined);
    stream.send({ type: 'auth', token });
    stream.send({ type: 'auth', token: testAdminToken });
    stream.socket.close(1000, 'x');
    await stream.nextClose();
  }
  for (const path of ['/nowhere', '/v1/realtime/poll', '/v1/publish', '/admin/v1/rollout'])
    for (const method of ['GET', 'POST'])
      for (const secret of [token, bad, testAdminToken])
        await call(`${node.url}${path}?access_token=${secret}`, {
          method,
          token: secret,
          headers: { cookie: `sid=${secret}` },
        });
  const log = node.lines.join('');
  expect(log).toContain('logged');
  for (const secret of [token, bad, ticket, testAdminToken, testSecret]) {
    expect(log).not.toContain(secret);
    // A signature is what makes it a secret.
    expect(log).not.toContain(secret.split('.')[2] ?? secret);
  }
});
