/** Who an old API's caller is, as a profile says; and that nobody is ever taken for somebody else. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Profile } from '../../schema/profile.ts';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { readConfig } from '../../src/config/config.ts';
import { LegacyIdentity } from '../../src/legacy/serve/identity.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { makeToken, testSecret } from '../support/tokens.ts';
import { cut, WhoamiServer } from '../support/whoami-server.ts';

type Auth = NonNullable<Profile['auth']>;
type Resolve = NonNullable<Auth['resolve']>;

let whoami: WhoamiServer;
const opened: LegacyIdentity[] = [];
beforeEach(async () => {
  whoami = await WhoamiServer.start();
  whoami.people.set('sid=anns', { user: 'ann', org: 'acme' });
  whoami.people.set('sid=bens', { user: 'ben', org: 'acme' });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((identity) => identity.close()));
  await whoami.close();
});

function open(auth?: Partial<Auth>, resolve: Partial<Resolve> | undefined = {}) {
  const clock = new FakeClock();
  const asked = { url: whoami.url, user: '$.user', org: '$.org', cacheSeconds: 60, ...resolve };
  const legacy = new LegacyIdentity(
    { auth: auth && { from: 'cookie', name: 'sid', ...('jwt' in auth ? {} : { resolve: asked }), ...auth } },
    { clock, authenticator: createAuthenticator(readConfig({ TURNOUT_JWT_SECRET: testSecret }), clock) },
  );
  opened.push(legacy);
  const resolveWith = async (headers: Record<string, string>, query = '') => {
    const told = await legacy.resolve({ headers, query: new URLSearchParams(query) });
    return typeof told === 'string' ? told : `${told.org}/${told.sub}`;
  };
  return { clock, legacy, resolveWith };
}

describe('a caller of the old API', () => {
  it('is told by the old backend from a cookie, a header, a bearer token or the query', async () => {
    whoami.people.set('key-1', { user: 'kim', org: 'acme' });
    whoami.people.set('Bearer opaque', { user: 'bea', org: 'acme' });
    whoami.people.set('?token=q', { user: 'quinn', org: 'acme' });
    expect(await open({}).resolveWith({ cookie: 'a=b; sid=anns' })).toBe('acme/ann');
    expect(await open({ from: 'header', name: 'X-Api-Key' }).resolveWith({ 'x-api-key': 'key-1' })).toBe(
      'acme/kim',
    );
    expect(await open({ from: 'bearer' }).resolveWith({ authorization: 'Bearer opaque' })).toBe('acme/bea');
    expect(await open({ from: 'query', name: 'token' }).resolveWith({}, 'token=q&since=4')).toBe(
      'acme/quinn',
    );
    const fixed = open({}, { org: 'everyone' });
    expect(await fixed.resolveWith({ cookie: 'sid=anns' })).toBe('everyone/ann');
  });

  it('is told by a JWT of ours, its claims where the profile has them; a forged one is not asked about', async () => {
    const { clock, resolveWith } = open({
      from: 'bearer',
      jwt: { user: '$.uid', org: '$.t.id', services: 'kept' },
    });
    const claims = { uid: 7, t: { id: 'acme' } };
    const authorization = `Bearer ${await makeToken(claims, { nowMs: clock.now() })}`;
    expect(await resolveWith({ authorization })).toBe('acme/7');
    expect(await resolveWith({ authorization: `${authorization}x` })).toBe('anonymous');
    clock.advance(3_601_000);
    expect(await resolveWith({ authorization })).toBe('anonymous');
    expect(whoami.asked).toEqual([]);
  });

  it('is nobody without a credential, without `auth`, and when refused; not to be told in an outage', async () => {
    const { resolveWith } = open({});
    for (const cookie of ['', 'sid=', 'xsid=anns', 'sid', 'sid =anns'])
      expect(await resolveWith({ cookie })).toBe('anonymous');
    expect(await open().resolveWith({ cookie: 'sid=anns' })).toBe('anonymous');
    expect(whoami.asked).toEqual([]);
    expect(await resolveWith({ cookie: 'sid=nobodys' })).toBe('anonymous');
    whoami.instead = cut;
    expect(await resolveWith({ cookie: 'sid=anns' })).toBe('unavailable');
  });

  it('is never another: 50 users at the same time, each cookie its own', async () => {
    const { resolveWith } = open({});
    const users = Array.from({ length: 50 }, (_, index) => `u${index}`);
    for (const user of users) whoami.people.set(`sid=s-${user}`, { user, org: 'acme' });
    whoami.delayMs = 5;
    // First asked about, then from what is kept.
    for (let turn = 0; turn < 2; turn += 1) {
      const told = await Promise.all(
        [...users, ...users].map((user) => resolveWith({ cookie: `sid=s-${user}` })),
      );
      expect(told).toEqual([...users, ...users].map((user) => `acme/${user}`));
    }
    expect(whoami.asked.length).toBe(50);
  });

  it('with two cookies of the name is who the old backend says, whichever was cached before', async () => {
    const { resolveWith } = open({});
    whoami.people.set('sid=anns; sid=bens', { user: 'ben', org: 'acme' });
    expect(await resolveWith({ cookie: 'sid=anns' })).toBe('acme/ann');
    expect(await resolveWith({ cookie: 'sid=anns; x=1; sid=bens' })).toBe('acme/ben');
    expect(await resolveWith({ cookie: 'sid=bens; sid=anns' })).toBe('anonymous');
  });

  it('who logged out is nobody within `cacheSeconds`; with 0, at once', async () => {
    const { clock, resolveWith } = open({});
    const unkept = open({}, { cacheSeconds: 0 });
    for (const one of [resolveWith, unkept.resolveWith])
      expect(await one({ cookie: 'sid=anns' })).toBe('acme/ann');
    whoami.people.delete('sid=anns');
    expect(await resolveWith({ cookie: 'sid=anns' })).toBe('acme/ann');
    expect(await unkept.resolveWith({ cookie: 'sid=anns' })).toBe('anonymous');
    clock.advance(60_000);
    expect(await resolveWith({ cookie: 'sid=anns' })).toBe('anonymous');
  });
});
