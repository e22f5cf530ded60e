/** Callers without a token of ours: opaque tokens and cookies that a real auth server knows, and other issuers' claims. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NegotiateResponse, PollBody } from '../../schema/http.ts';
import { type Answer, type ErrorAnswer, call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { Publisher } from '../support/publisher.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, type TestClaims } from '../support/token-maker.ts';
import { until, within } from '../support/until.ts';
import { cut, WhoamiServer } from '../support/whoami-server.ts';

const canary = 'CANARY-93ab';
const cacheMs = 1000;
const listed = 'https://app.example.com';
const first = { services: ['chat'], version: 1 };
const answers: string[] = [];

let whoami: WhoamiServer;
let gateway: Gateway;
let mapped: Gateway;
beforeAll(async () => {
  whoami = await WhoamiServer.start();
  const starting = startGateway({
    TURNOUT_AUTH_URL: whoami.url,
    TURNOUT_AUTH_USER: 'user.id',
    TURNOUT_AUTH_ORG: 'tenant',
    TURNOUT_AUTH_COOKIE: 'sid',
    TURNOUT_AUTH_CACHE_S: String(cacheMs / 1000),
    TURNOUT_USER_PUBLISH: 'chat',
    TURNOUT_ORIGINS: listed,
    TURNOUT_LOG_LEVEL: 'trace',
  });
  const claims = { TURNOUT_CLAIM_USER: 'https://example.com/user', TURNOUT_CLAIM_GRANTS: 'turnout' };
  [gateway, mapped] = await Promise.all([
    starting,
    startGateway({ ...claims, TURNOUT_ORG: 'acme', TURNOUT_AUTH_COOKIE: 'jwt' }),
  ]);
});
afterAll(async () => {
  await Promise.all([gateway.kill(), mapped.kill(), whoami.close()]);
});

let people = 0;
/** Somebody with a session: as a cookie, and as an opaque token. */
function logIn(user = `u${(people += 1)}`) {
  const secret = `${canary}-${user}`;
  const person = { user: { id: user }, tenant: 'acme' } as never;
  const [cookie, bearer] = [`sid=${secret}`, `Bearer ${secret}`];
  whoami.people.set(cookie, person);
  whoami.people.set(bearer, person);
  const logOut = (): void => {
    whoami.people.delete(cookie);
    whoami.people.delete(bearer);
  };
  return { user, secret, cookie, bearer, logOut };
}
type Headers = Readonly<Record<string, string>>;

async function ask<T>(path: string, headers: Headers, body?: unknown): Promise<Answer<T>> {
  const answer = await call<T>(`${gateway.url}${path}`, { headers, ...(body !== undefined && { body }) });
  if (answer.status >= 400) answers.push(answer.text);
  return answer;
}
const poll = (headers: Headers, query = 'wait=0') =>
  ask<PollBody>(`/v1/realtime/poll?services=chat&${query}`, headers);
const negotiate = (headers: Headers) => ask<NegotiateResponse>('/v2/realtime/negotiate', headers, {});
const say = (headers: Headers) =>
  ask('/v2/realtime/publish', headers, { service: 'chat', type: 'note', payload: 1 });
const refusedAs = (answer: Answer): string => (answer.body as ErrorAnswer).error.code;
const stream = (headers: Headers, path?: string) =>
  new StreamClient(gateway.url, { headers, first, ...(path !== undefined && { path }) });

describe('an opaque token or a cookie', () => {
  it('polls, publishes, negotiates and streams; the auth server sees it and nothing else', async () => {
    const { cookie, bearer } = logIn();
    whoami.asked.length = 0;
    const own = { origin: gateway.url };
    for (const headers of [{ authorization: bearer }, { cookie: `theme=dark; ${cookie}; x=1`, ...own }]) {
      const { cursor } = (await poll(headers)).body;
      expect((await say(headers)).status).toBe(200);
      const { events } = (await poll(headers, `wait=5&cursor=${cursor}`)).body;
      expect(events.map(({ type }) => type)).toEqual(['note']);
      const { urls } = (await negotiate(headers)).body;
      // The ticket alone, as a browser's WebSocket brings it.
      for (const client of [stream({}, urls.websocket), stream(headers)]) {
        await client.next('ack');
        client.destroy();
      }
    }
    expect(new Set(whoami.asked.map((one) => one.credential))).toEqual(new Set([cookie, bearer]));
    for (const { headers } of whoami.asked)
      expect(Object.keys(headers).toSorted()).toEqual(
        [
          'accept',
          'connection',
          'host',
          headers.cookie === undefined ? 'authorization' : 'cookie',
        ].toSorted(),
      );
  });

  it('is asked about once in its time by 200 polls at the same time', async () => {
    const { cookie } = logIn();
    whoami.delayMs = 50;
    const beganMs = performance.now();
    const all = await Promise.all(Array.from({ length: 200 }, () => poll({ cookie })));
    whoami.delayMs = 0;
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
    const times = 1 + Math.floor((performance.now() - beganMs) / (0.9 * cacheMs));
    expect(whoami.askedOf(cookie)).toBeLessThanOrEqual(times);
  });

  it('brings its own user events, however many ask at the same time', async () => {
    const users = Array.from({ length: 30 }, () => logIn());
    const { cursor } = (await poll({ cookie: users[0]?.cookie ?? '' })).body;
    await new Publisher(gateway.url).publish(
      ...users.map(({ user }) => ({ service: 'chat', payload: user, to: [user] })),
    );
    const seen = await Promise.all(
      [...users, ...users, ...users].map(async ({ user, cookie }) => {
        const { body } = await poll({ cookie }, `wait=0&cursor=${cursor}`);
        return body.events.map(({ payload }) => payload).join() === user;
      }),
    );
    expect(seen).toEqual(seen.map(() => true));
  });

  it('that is withdrawn ends its streams and its held poll within the cache time', async () => {
    const { cookie, bearer, logOut } = logIn();
    const { urls, cursor } = (await negotiate({ authorization: bearer })).body;
    const streams = [stream({}, urls.websocket), stream({ cookie, origin: listed })];
    for (const client of streams) await client.next('ack');
    const held = poll({ cookie }, `wait=60&cursor=${cursor}`);
    // Longer than the cache time: whoever is still known is not disturbed.
    await until(() => whoami.askedOf(cookie) >= 2 && whoami.askedOf(bearer) >= 2, 'asking again');
    expect(streams.map(({ closed }) => closed)).toEqual([undefined, undefined]);
    logOut();
    for (const client of streams)
      expect(await client.nextClose()).toEqual({ code: 4401, reason: 'unauthorized' });
    // Against the minute that the poll would be held, and a stream for ever.
    expect(await within(held, 'the held poll')).toMatchObject({ status: 200, body: { events: [] } });
    expect(refusedAs(await poll({ cookie }))).toBe('unauthorized');
    expect(await stream({}, urls.websocket).nextClose()).toMatchObject({ code: 4401 });
  });

  it('is refused 503 to newcomers while nobody can be asked, and stays good for who is connected', async () => {
    const [ann, ben] = [logIn(), logIn()];
    const client = stream({ cookie: ann.cookie, origin: gateway.url });
    await client.next('ack');
    const { cursor } = (await poll({ cookie: ann.cookie })).body;
    const held = poll({ cookie: ann.cookie }, `wait=30&cursor=${cursor}`);
    whoami.instead = cut;
    const before = whoami.askedOf(ann.cookie);
    const refused = await poll({ cookie: ben.cookie });
    expect([refused.status, refusedAs(refused)]).toEqual([503, 'overloaded']);
    expect(refused.headers['retry-after']).toBe('1');
    expect(await stream({ authorization: ben.bearer }).nextClose()).toEqual({
      code: 1013,
      reason: 'overloaded',
    });
    // Asked in vain, at the end of its time.
    await until(
      () => whoami.askedOf(ann.cookie),
      'asking again',
      (seen) => seen > before,
    );
    await new Publisher(gateway.url).publish({ service: 'chat', payload: 'still here' });
    expect((await client.nextEvents(1))[0]?.payload).toBe('still here');
    expect((await held).body.events).toHaveLength(1);
    whoami.instead = undefined;
    expect((await poll({ cookie: ben.cookie })).status).toBe(200);
    client.destroy();
  });
});

describe('a page that is not ours', () => {
  const evil = 'https://evil.example';
  const pages: [string, (own: string) => Headers, boolean][] = [
    ['without a word of where it is', () => ({}), false],
    ['of another site', () => ({ origin: evil, 'sec-fetch-site': 'cross-site' }), false],
    ['of no origin', () => ({ origin: 'null' }), false],
    ['of a sibling', () => ({ 'sec-fetch-site': 'same-site' }), false],
    ['of this host by another scheme', (own) => ({ origin: own, 'sec-fetch-site': 'cross-site' }), false],
    ['of this origin', (own) => ({ origin: own }), true],
    ['of this origin, as the browser says', () => ({ 'sec-fetch-site': 'same-origin' }), true],
    ['of a listed origin', () => ({ origin: listed, 'sec-fetch-site': 'cross-site' }), true],
  ];

  it.each(pages)(
    '%s changes something by a cookie, or is given a ticket, only if it may',
    async (_, page, may) => {
      const { cookie, bearer } = logIn();
      const headers = page(gateway.url);
      for (const attempt of [say, negotiate]) {
        const answer = await attempt({ cookie, ...headers });
        expect(answer.status).toBe(may ? 200 : 403);
        if (!may) expect(refusedAs(answer)).toBe('origin_forbidden');
        // A header is set by whoever holds the token: no browser adds it.
        expect((await attempt({ cookie, ...headers, authorization: bearer })).status).toBe(200);
      }
      if (!may) expect(whoami.askedOf(cookie)).toBe(0);
    },
  );

  it('opens no stream by a cookie; without an Origin neither does anybody', async () => {
    const { cookie, bearer } = logIn();
    for (const headers of [{ cookie, origin: evil }, { cookie }, { cookie, origin: 'null' }])
      expect(await stream(headers).nextClose()).toEqual({ code: 1008, reason: 'origin_forbidden' });
    expect(whoami.askedOf(cookie)).toBe(0);
    await stream({ authorization: bearer }).next('ack');
  });

  it('reads no answer that a cookie brought, unless it is listed', async () => {
    const { cookie } = logIn();
    const allowed = async (origin: string) => {
      const { headers } = await poll({ cookie, origin });
      return [headers['access-control-allow-origin'], headers['access-control-allow-credentials']];
    };
    expect(await allowed(evil)).toEqual([undefined, undefined]);
    expect(await allowed(listed)).toEqual([listed, 'true']);
  });

  it('and no other either is let into the admin API by a cookie or an opaque token', async () => {
    const { cookie, bearer } = logIn();
    for (const headers of [{ cookie, origin: gateway.url }, { authorization: bearer }])
      expect((await ask('/admin/v1/rollout', headers)).status).toBe(401);
    // A mistyped admin token is none of its business.
    expect(whoami.askedOf(cookie) + whoami.askedOf(bearer)).toBe(0);
  });
});

it("reads the user where another issuer's tokens have it, from a cookie too", async () => {
  const claims = { sub: 'auth0|77', org: undefined, 'https://example.com/user': 42, roles: ['admin', 'x y'] };
  const token = await makeToken({ ...claims, turnout: { publish: ['chat'] } } as unknown as TestClaims);
  const headers = { cookie: `jwt=${token}`, origin: mapped.url };
  const said = { service: 'chat', type: 'note', payload: 1 };
  expect((await call(`${mapped.url}/v2/realtime/publish`, { headers, body: said })).status).toBe(200);
  const { body } = await call<PollBody>(
    `${mapped.url}/v1/realtime/poll?services=chat&wait=0&cursor=earliest`,
    { headers },
  );
  expect(body.events.map(({ sender }) => sender)).toEqual(['42']);
  // The issuer's own `roles` are not ours.
  expect((await call(`${mapped.url}/admin/v1/rollout`, { token })).status).toBe(403);
  const nobody = await makeToken();
  expect((await call(`${mapped.url}/v2/realtime/negotiate`, { token: nobody, body: {} })).status).toBe(401);
});

it('no credential got into the logs, the metrics or an error', async () => {
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('turnout_auth_asked_total{outcome="known"}');
  expect(gateway.logs.some((line) => line['msg'] === 'the auth server does not say who is asking')).toBe(
    true,
  );
  for (const said of [metrics, JSON.stringify(gateway.logs), ...answers]) expect(said).not.toContain(canary);
});
