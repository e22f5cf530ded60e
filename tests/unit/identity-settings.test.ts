/** Whom the settings let in: claims of other issuers, an auth server beside or instead of a key, cookies and origins. */
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Credential } from '../../src/auth/credential.ts';
import { createAuthenticator, type KeyedAuthenticator } from '../../src/auth/authenticator.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { cookiePolicy, crossOrigin } from '../../src/http/origins.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { forgedToken, makeToken, testSecret } from '../support/tokens.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

let whoami: WhoamiServer;
const opened: KeyedAuthenticator[] = [];
beforeEach(async () => {
  whoami = await WhoamiServer.start();
  whoami.people.set('Bearer opaque', { user: 'ann', org: 'acme' });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((auth) => auth.close()));
  await whoami.close();
});

function open(env: Environment) {
  const clock = new FakeClock();
  const auth = createAuthenticator(readConfig(env), clock);
  opened.push(auth);
  const who = async (claims: object): Promise<string> => {
    const token = await makeToken(claims as never, { nowMs: clock.now() });
    const { org, sub } = await auth.verifyToken(token);
    return `${org}/${sub}`;
  };
  return { auth, clock, who };
}
const withKey = { TURNOUT_JWT_SECRET: testSecret };
const unauthorized = { code: 'unauthorized' };

describe('claims', () => {
  it('are read where the settings say, by a path or by a whole name with dots', async () => {
    // Its `orgs` are another thing than ours, so ours are looked for elsewhere.
    const places = { TURNOUT_CLAIM_ORG: 'orgs[0].slug', TURNOUT_CLAIM_GRANTS: 'turnout' };
    const deep = open({ ...withKey, TURNOUT_CLAIM_USER: 'user.id', ...places });
    expect(await deep.who({ user: { id: 7 }, orgs: [{ slug: 'acme' }] })).toBe('acme/7');
    const named = open({ ...withKey, TURNOUT_CLAIM_ORG: 'https://a.example/org' });
    expect(await named.who({ 'https://a.example/org': 'beta', org: 'acme' })).toBe('beta/u1');
    expect(await open({ ...withKey, TURNOUT_ORG: 'all' }).who({ org: 'acme' })).toBe('all/u1');
  });

  it('that are missing, or no name, are refused, inherited ones too', async () => {
    for (const TURNOUT_CLAIM_USER of ['uid', 'user.id', 'constructor.name', '__proto__', 'toString.name'])
      await expect(open({ ...withKey, TURNOUT_CLAIM_USER }).who({ user: 'x' })).rejects.toMatchObject(
        unauthorized,
      );
    for (const uid of ['', 'a b', 1.5, true, null, ['x'], { id: 'x' }])
      await expect(open({ ...withKey, TURNOUT_CLAIM_USER: 'uid' }).who({ uid })).rejects.toMatchObject(
        unauthorized,
      );
  });
});

describe('an auth server', () => {
  it('beside a key is asked about what is no JWT; a forged JWT is refused without asking', async () => {
    const { auth, who } = open({ ...withKey, TURNOUT_AUTH_URL: whoami.url });
    expect((await auth.verifyToken('opaque')).sub).toBe('ann');
    expect(await who({ sub: 'ben' })).toBe('acme/ben');
    const forged = forgedToken({ alg: 'none' }, { sub: 'ann', org: 'acme', exp: 4e9 });
    await expect(auth.verifyToken(forged)).rejects.toMatchObject(unauthorized);
    expect(whoami.asked.length).toBe(1);
  });

  it('without a key is asked about everything, on any host, and no key is made up', async () => {
    const { auth, clock } = open({ TURNOUT_AUTH_URL: whoami.url, TURNOUT_HOST: '0.0.0.0' });
    const jwt = await makeToken({}, { nowMs: clock.now() });
    await expect(auth.verifyToken(jwt)).rejects.toMatchObject(unauthorized);
    expect(whoami.askedOf(`Bearer ${jwt}`)).toBe(1);
    expect(auth.needsTicketSecret).toBe(true);
    expect(readConfig({ TURNOUT_AUTH_URL: whoami.url }).isDemo).toBe(false);
    // As it came, whatever its scheme.
    whoami.people.set('Basic YTpi', { user: 'bas', org: 'acme' });
    expect((await auth.verify(Credential.authorization('Basic YTpi'))).sub).toBe('bas');
  });

  it('is asked about the ticket of a credential too, which the ticket does not show', async () => {
    const { auth, clock } = open({ TURNOUT_AUTH_URL: whoami.url });
    const identity = await auth.verifyToken('opaque');
    const supports = ['websocket'];
    const ticket = await auth.issueTicket({
      identity,
      session: 's',
      supports,
      assignment: 1,
      override: undefined,
    });
    const shown = ticket.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'));
    expect(shown.join()).not.toContain('opaque');
    expect((await auth.verifyTicket(ticket)).identity.sub).toBe('ann');
    clock.advance(60_000);
    expect((await auth.verifyTicket(ticket)).identity.expiresAtMs).toBeGreaterThan(clock.now());
    expect(whoami.asked.length).toBe(2);
    whoami.people.clear();
    clock.advance(60_000);
    await expect(auth.verifyTicket(ticket)).rejects.toMatchObject(unauthorized);
  });

  it.each([
    [{ TURNOUT_ORG: 'acme', TURNOUT_AUTH_ORG: 'org' }, 'TURNOUT_ORG, TURNOUT_AUTH_ORG: give one of them'],
    [
      { TURNOUT_AUTH_URL: 'http://user:word@host/' },
      'TURNOUT_AUTH_URL must be an http or https URL, without',
    ],
    [{ TURNOUT_AUTH_URL: 'file:///etc/passwd' }, 'TURNOUT_AUTH_URL must be an http or https URL'],
    [{ TURNOUT_AUTH_COOKIE: 'a=b;' }, 'TURNOUT_AUTH_COOKIE must be the name of a cookie'],
    [{ TURNOUT_USER_PUBLISH: 'Chat!' }, 'TURNOUT_USER_PUBLISH must be a list of services'],
    [{ TURNOUT_ORG: 'a b' }, 'TURNOUT_ORG must be 1 to 128'],
  ])('with %o is no setting', (env, problem) => {
    expect(() => readConfig(env)).toThrow(problem);
  });
});

describe('a cookie', () => {
  it('is nothing to a page that only `*` lets in', () => {
    const policy = cookiePolicy('sid', ['*', 'https://app.example.com']);
    const host = 'api.example.com';
    expect(policy?.mayOpen('https://evil.example', host)).toBe(false);
    expect(policy?.mayChange({ origin: 'https://evil.example', host })).toBe(false);
    expect(policy?.mayChange({ origin: 'https://APP.example.com', host })).toBe(true);
    expect(policy?.mayOpen('null', host)).toBe(false);
  });

  it('is sent along and its answers read by listed pages only: never by `*`', async () => {
    const allowed = async (origins: string[], takesCookies: boolean, origin: string) => {
      const app = new Hono().use(crossOrigin(origins, takesCookies)).get('/', (c) => c.text('ok'));
      const { headers } = await app.request('/', { headers: { origin } });
      return [headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')];
    };
    const [app, evil] = ['https://app.example.com', 'https://evil.example'];
    expect(await allowed(['*', app], true, app)).toEqual([app, 'true']);
    expect(await allowed(['*', app], true, evil)).toEqual(['*', null]);
    expect(await allowed([app], true, evil)).toEqual([null, null]);
    expect(await allowed([app], false, app)).toEqual([app, null]);
  });
});
