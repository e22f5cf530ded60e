/** Turnout's own secrets never leave for an auth server, whatever way a slip brings them to a user's route. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { Credential, readCredential } from '../../src/auth/credential.ts';
import { readConfig } from '../../src/config/config.ts';
import { LegacyIdentity } from '../../src/legacy/serve/identity.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

const secrets = {
  TURNOUT_ADMIN_TOKEN: 'an-admin-token+of/tests==',
  TURNOUT_TICKET_SECRET: 'a-ticket-secret-of-the-tests',
};
const jwtSecret = 'a-signing-secret-of-the-tests';

let whoami: WhoamiServer;
const opened: { close(): Promise<void> }[] = [];
beforeEach(async () => {
  whoami = await WhoamiServer.start();
  // The worst auth server: it lets everybody in.
  whoami.instead = (response) => void response.end('{"user":"ann","org":"acme"}');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  await whoami.close();
});

function open(env: Record<string, string> = {}) {
  const config = readConfig({ TURNOUT_AUTH_URL: whoami.url, ...secrets, ...env });
  const clock = new FakeClock();
  const auth = createAuthenticator(config, clock);
  opened.push(auth);
  return { auth, clock };
}

/** Every way in which a caller may bring it. */
const forms = (secret: string): readonly (readonly [string, Credential])[] => {
  const basic = Buffer.from(`admin:${secret}`).toString('base64');
  const cookie = readCredential({ authorization: undefined, cookie: `a=b; sid=x; sid=${secret}` }, 'sid');
  if (cookie === undefined) throw new Error('no cookie');
  return [
    ['a bearer token', Credential.bearer(secret)],
    ['a header without a scheme', Credential.authorization(secret)],
    ['another scheme', Credential.authorization(`Token ${secret}`)],
    ['a password', Credential.authorization(`Basic ${basic}`)],
    ['a cookie', cookie],
    ['a header of a profile', Credential.header('x-api-key', secret)],
    ['a query of a profile', Credential.query('token', secret)],
  ];
};
const given = [...Object.values(secrets), jwtSecret];

describe.each([[{}], [{ TURNOUT_JWT_SECRET: jwtSecret }]])('with %j', (env) => {
  const own = given.filter((secret) => secret !== jwtSecret || 'TURNOUT_JWT_SECRET' in env);
  const places = forms('').map(([place]) => place);

  it.each(places)('a secret of a setting in %s is refused without asking', async (place) => {
    const { auth } = open(env);
    for (const secret of own) {
      const [, credential] = forms(secret).find(([name]) => name === place) ?? [];
      await expect(auth.verify(credential)).rejects.toMatchObject({ code: 'unauthorized' });
    }
    expect(whoami.asked).toEqual([]);
  });

  it('a ticket, of this node or another, is refused without asking', async () => {
    const { auth } = open(env);
    const other = open({ TURNOUT_TICKET_SECRET: 'a-ticket-secret-of-another-fleet' }).auth;
    for (const issuer of [auth, other]) {
      const identity = await issuer.verifyToken('opaque');
      const ticket = { identity, session: undefined, supports: [], assignment: 1, override: undefined };
      const text = await issuer.issueTicket(ticket);
      whoami.asked.length = 0;
      for (const [place, credential] of forms(text))
        await expect(auth.verify(credential), place).rejects.toMatchObject({ code: 'unauthorized' });
    }
    expect(whoami.asked).toEqual([]);
  });
});

it('nor does a profile ask its upstream about one', async () => {
  const { auth, clock } = open();
  for (const from of ['bearer', 'cookie', 'header', 'query'] as const) {
    const resolve = { url: whoami.url, user: '$.user', org: '$.org', cacheSeconds: 60 };
    const legacy = new LegacyIdentity(
      { auth: { from, name: 'sid', resolve } },
      { clock, authenticator: auth },
    );
    opened.push(legacy);
    for (const secret of Object.values(secrets)) {
      const headers = { authorization: `Bearer ${secret}`, cookie: `sid=${secret}`, sid: secret };
      expect(await legacy.resolve({ headers, query: new URLSearchParams({ sid: secret }) })).toBe(
        'anonymous',
      );
    }
  }
  expect(whoami.asked).toEqual([]);
});

it('and a credential that merely looks like one is asked about as ever', async () => {
  const { auth } = open();
  for (const near of [
    `${secrets.TURNOUT_ADMIN_TOKEN}x`,
    secrets.TURNOUT_ADMIN_TOKEN.slice(1),
    'eyJhbGciOiJIUzI1NiJ9.e30.x',
  ])
    expect(await auth.verifyToken(near)).toMatchObject({ sub: 'ann' });
  expect(whoami.asked.length).toBe(3);
});
