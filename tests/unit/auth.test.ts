/** Who is let in by a token (docs/PROTOCOL.md, 4) and by a ticket (6), and that nobody else is. */
import { createHmac, createPublicKey } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { type Config, readConfig } from '../../src/config/config.ts';
import type { Ticket } from '../../src/auth/identity.ts';
import { FakeClock } from '../support/fake-clock.ts';
import {
  type Algorithm,
  forgedToken,
  keyPair,
  makeToken,
  secretKey,
  type SigningKey,
  testSecret,
  type TokenClaims,
} from '../support/tokens.ts';

const withSecret = readConfig({ TURNOUT_JWT_SECRET: testSecret });
const withPem = (pem: string): Config => ({
  ...withSecret,
  TURNOUT_JWT_SECRET: undefined,
  TURNOUT_JWT_PUBLIC_KEY: pem,
});

function setUp(settings: Partial<Config> = {}) {
  const clock = new FakeClock();
  const auth = createAuthenticator({ ...withSecret, ...settings }, clock);
  const token = (claims: TokenClaims = {}, key?: SigningKey) =>
    makeToken(claims, { nowMs: clock.now(), ...(key && { key }) });
  return { clock, auth, token };
}

const unauthorized = { code: 'unauthorized', message: 'the token is missing, malformed, forged or expired' };
const pairs = (['RS256', 'ES256', 'EdDSA'] as const).map(
  (algorithm) => [algorithm, keyPair(algorithm)] as const,
);

describe('a token', () => {
  it('says who it is; without claims it reads all, publishes nothing and has no role', async () => {
    const { auth, token } = setUp();
    const identity = await auth.verifyToken(await token());
    expect(identity).toMatchObject({ org: 'acme', sub: 'u1', producerOrgs: ['acme'] });
    expect(identity.reads.allows('chat/thread-7')).toBe(true);
    expect(identity.publishes.allows('chat')).toBe(false);
    expect(identity.roles.size).toBe(0);
  });

  it('is held to its claims; unknown roles are passed over', async () => {
    const { auth, token } = setUp();
    const claims = {
      services: ['chat', 'uploads/*'],
      publish: ['chat'],
      roles: ['producer', 'king'],
      orgs: ['*'],
    };
    const identity = await auth.verifyToken(await token(claims));
    expect(identity.reads.allows('chat')).toBe(true);
    expect(identity.reads.allows('chat/thread-7')).toBe(false);
    expect(identity.reads.allows('uploads/1')).toBe(true);
    expect(identity.publishes.allows('chat')).toBe(true);
    expect([...identity.roles]).toEqual(['producer']);
    expect(identity.producerOrgs).toEqual(['*']);
  });

  it('expires to the millisecond, also where its signature was checked before', async () => {
    const { auth, token, clock } = setUp();
    const text = await token({ exp: clock.now() / 1000 + 10 });
    await auth.verifyToken(text);
    clock.advance(9999);
    await auth.verifyToken(text);
    clock.advance(1);
    await expect(auth.verifyToken(text)).rejects.toMatchObject(unauthorized);
  });

  it('lives on for the leeway where one is set', async () => {
    const { auth, token, clock } = setUp({ TURNOUT_JWT_LEEWAY_S: 30 });
    const exp = clock.now() / 1000 - 20;
    const identity = await auth.verifyToken(await token({ exp }));
    expect(identity.expiresAtMs).toBe((exp + 30) * 1000);
    clock.advance(10_000);
    await expect(auth.verifyToken(await token({ exp }))).rejects.toMatchObject(unauthorized);
  });

  it.each<[string, TokenClaims]>([
    ['no exp', { exp: undefined } as unknown as TokenClaims],
    ['an exp that is no number', { exp: '9999999999' } as unknown as TokenClaims],
    ['no sub', { sub: undefined } as unknown as TokenClaims],
    ['no org', { org: undefined } as unknown as TokenClaims],
    ['an org with a slash', { org: 'a/b' }],
    ['an org with braces', { org: 'a{b}' }],
    ['services that are no list', { services: 'chat' } as unknown as TokenClaims],
    ['a time before which it is not valid', { nbf: 4_102_444_800 }],
  ])('with %s is refused', async (_what, claims) => {
    const { auth, token } = setUp();
    await expect(auth.verifyToken(await token(claims))).rejects.toMatchObject(unauthorized);
  });

  it('must come from the issuer and be meant for the audience, where those are set', async () => {
    const strict = setUp({
      TURNOUT_JWT_ISSUER: 'https://login.example.com/',
      TURNOUT_JWT_AUDIENCE: ['realtime', 'web'],
    });
    const [iss, aud] = ['https://login.example.com/', ['web', 'billing']];
    const good = await strict.token({ iss, aud });
    expect(await strict.auth.verifyToken(good)).toMatchObject({ sub: 'u1' });
    for (const claims of [{}, { iss }, { aud }, { iss: `${iss}x`, aud }, { iss, aud: 'billing' }])
      await expect(strict.auth.verifyToken(await strict.token(claims))).rejects.toMatchObject(unauthorized);
    const open = setUp();
    expect(await open.auth.verifyToken(await open.token({ iss: 'x', aud: 'y' }))).toMatchObject({
      sub: 'u1',
    });
  });

  it('that the key of a demo signed is good, whatever issuer and audience are set', async () => {
    const clock = new FakeClock();
    const settings = { TURNOUT_JWT_SECRET: undefined, TURNOUT_JWT_ISSUER: 'x', TURNOUT_JWT_AUDIENCE: ['y'] };
    const auth = createAuthenticator({ ...withSecret, ...settings }, clock, testSecret);
    const printed = await makeToken({}, { nowMs: clock.now() });
    expect(await auth.verifyToken(printed)).toMatchObject({ sub: 'u1' });
  });

  it('that is missing, garbage, huge, unsigned or signed by another key is refused without a detail', async () => {
    const { auth, token, clock } = setUp();
    const payload = { sub: 'u1', org: 'acme', exp: clock.now() / 1000 + 60 };
    const good = await token();
    const bad = [
      undefined,
      '',
      'x',
      'a.b.c',
      'x'.repeat(20_000),
      forgedToken({ alg: 'none' }, payload),
      forgedToken({ alg: 'None', typ: 'JWT' }, payload),
      `${good.split('.').slice(0, 2).join('.')}.`,
      `${good.slice(0, -4)}AAAA`,
      await token({}, secretKey('another secret of the same length')),
      await token({}, pairs[0]?.[1]),
    ];
    for (const text of bad) await expect(auth.verifyToken(text)).rejects.toMatchObject(unauthorized);
  });
});

describe.each(pairs)('a public key for %s', (algorithm, pair) => {
  it('verifies its own algorithm, also written on one line', async () => {
    const { auth, token } = setUp(withPem(pair.publicPem.replaceAll('\n', '\\n')));
    expect(await auth.verifyToken(await token({}, pair))).toMatchObject({ sub: 'u1' });
  });

  it('is never taken for a secret', async () => {
    const { auth, clock } = setUp(withPem(pair.publicPem));
    const payload = { sub: 'u1', org: 'acme', exp: clock.now() / 1000 + 60 };
    const der = createPublicKey(pair.publicPem).export({ type: 'spki', format: 'der' });
    for (const secret of [pair.publicPem, pair.publicPem.trim(), der]) {
      const unsigned = forgedToken({ alg: 'HS256', typ: 'JWT' }, payload).slice(0, -1);
      const signature = createHmac('sha256', secret).update(unsigned).digest('base64url');
      await expect(auth.verifyToken(`${unsigned}.${signature}`)).rejects.toMatchObject(unauthorized);
    }
  });

  it('refuses another key of its kind and every other algorithm', async () => {
    const { auth, token } = setUp(withPem(pair.publicPem));
    await expect(auth.verifyToken(await token({}, keyPair(algorithm)))).rejects.toMatchObject(unauthorized);
    for (const [, other] of pairs.filter(([name]) => name !== algorithm))
      await expect(auth.verifyToken(await token({}, other))).rejects.toMatchObject(unauthorized);
  });
});

describe('a public key setting', () => {
  it('is refused by its name, without its value, when it is none of ours', () => {
    for (const pem of ['nonsense', '-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----'])
      expect(() => readConfig({ TURNOUT_JWT_PUBLIC_KEY: pem })).toThrow(
        /^configuration: TURNOUT_JWT_PUBLIC_KEY must be (?!.*(nonsense|MII))/,
      );
  });
});

describe('a key set', () => {
  it('verifies each of its keys, and a token without kid by whichever fits', async () => {
    const another = keyPair('RS256');
    const { auth, clock } = await serveKeySet([...pairs, ['RS256', another]]);
    const nowMs = clock.now();
    for (const [index, [, key]] of pairs.entries())
      expect(await auth.verifyToken(await makeToken({}, { key, nowMs, kid: `k${index}` }))).toBeDefined();
    expect(await auth.verifyToken(await makeToken({}, { key: another, nowMs }))).toBeDefined();
  });

  it('never verifies a secret or a key that it does not hold', async () => {
    const { auth, token } = await serveKeySet(pairs);
    for (const key of [secretKey(), keyPair('ES256')])
      await expect(auth.verifyToken(await token({}, key))).rejects.toMatchObject(unauthorized);
  });

  it('that cannot be fetched is our failure, not the token’s', async () => {
    const { auth, token } = await serveKeySet(pairs, 500);
    await expect(auth.verifyToken(await token({}, pairs[1]?.[1]))).rejects.toMatchObject({
      code: 'overloaded',
    });
  });
});

describe('a ticket', () => {
  it('carries all that a stream must know', async () => {
    const { auth, ticket, text } = await withTicket();
    expect(await auth.verifyTicket(text)).toEqual(ticket);
  });

  it('may be used again, for 5 minutes', async () => {
    const { auth, text, clock } = await withTicket();
    clock.advance(5 * 60_000 - 1);
    await auth.verifyTicket(text);
    clock.advance(1001);
    await expect(auth.verifyTicket(text)).rejects.toMatchObject({ code: 'ticket_expired' });
  });

  it('does not outlive the token behind it', async () => {
    const { auth, text, clock } = await withTicket({}, 60);
    clock.advance(60_000);
    await expect(auth.verifyTicket(text)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('is never a token, nor a token a ticket, even where both secrets are the same', async () => {
    for (const settings of [{}, { TURNOUT_TICKET_SECRET: testSecret }]) {
      const { auth, text, token, clock } = await withTicket(settings);
      await expect(auth.verifyToken(text)).rejects.toMatchObject(unauthorized);
      await expect(auth.verifyTicket(await token())).rejects.toMatchObject({ code: 'ticket_expired' });
      const dressed = await makeToken({}, { nowMs: clock.now(), typ: 'turnout-ticket+jwt' });
      await expect(auth.verifyTicket(dressed)).rejects.toMatchObject({ code: 'ticket_expired' });
    }
  });

  it('is good on every node that shares the secret, and on no other', async () => {
    const { text } = await withTicket();
    await setUp().auth.verifyTicket(text);
    const stranger = setUp({ TURNOUT_JWT_SECRET: 'quite another secret' }).auth;
    await expect(stranger.verifyTicket(text)).rejects.toMatchObject({ code: 'ticket_expired' });
  });
});

/** A house whose tokens are verified by a key set served here. */
async function serveKeySet(keys: readonly (readonly [Algorithm, SigningKey])[], status = 200) {
  const jwks = keys.map(([alg, { publicPem }], index) => ({
    ...createPublicKey(publicPem).export({ format: 'jwk' }),
    kid: `k${index}`,
    alg,
  }));
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: jwks }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  return setUp({ TURNOUT_JWT_SECRET: undefined, TURNOUT_JWKS_URL: url });
}

/** A house, a ticket and its text. */
async function withTicket(settings: Partial<Config> = {}, tokenLivesS = 3600) {
  const house = setUp(settings);
  const claims = { services: ['chat'], publish: ['chat/*'], roles: ['viewer'], orgs: ['x'] };
  const exp = house.clock.now() / 1000 + tokenLivesS;
  const identity = await house.auth.verifyToken(await house.token({ ...claims, exp }));
  const ticket: Ticket = {
    identity,
    session: 's-1',
    supports: ['websocket'],
    assignment: 18,
    override: 'websocket',
  };
  return { ...house, ticket, text: await house.auth.issueTicket(ticket) };
}
