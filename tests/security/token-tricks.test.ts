/** A token's header decides nothing: neither the algorithm, nor where a key is, nor what must be understood. */
import { createHmac, createPublicKey, type KeyObject, sign as signBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { readConfig } from '../../src/config/config.ts';
import { systemClock } from '../../src/clock.ts';
import { keyPair, makeToken, testSecret } from '../support/tokens.ts';

const ours = keyPair('ES256');
const theirs = keyPair('ES256');
const jwkOf = (pem: string) => createPublicKey(pem).export({ format: 'jwk' });
/** Key sets that are asked for, by their path. */
const fetched: string[] = [];
const server = createServer((request, response) => {
  fetched.push(request.url ?? '');
  const { publicPem } = request.url === '/ours' ? ours : theirs;
  response.end(JSON.stringify({ keys: [{ ...jwkOf(publicPem), alg: 'ES256', kid: 'k1' }] }));
});
let origin = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = () => ({ sub: 'ann', org: 'acme', exp: Math.floor(Date.now() / 1000) + 60 });
const hmac = (text: string, secret: string | Buffer): string =>
  createHmac('sha256', secret).update(text).digest('base64url');
const ecdsa = (text: string, key: KeyObject | Uint8Array): string =>
  signBytes('sha256', Buffer.from(text), { key: key as KeyObject, dsaEncoding: 'ieee-p1363' }).toString(
    'base64url',
  );

const signed = (header: object, signature: (text: string) => string, payload: unknown = claims()): string => {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${signature(text)}`;
};
const byTheirs = (text: string): string => ecdsa(text, theirs.key);
const byOurs = (text: string): string => ecdsa(text, ours.key);
const bySecret = (text: string): string => hmac(text, testSecret);

/** Each a stranger's way in; made when asked for, since it may need the server's address. */
const tricks: readonly [string, () => string][] = [
  ['alg none', () => signed({ alg: 'none' }, () => '')],
  ['alg None', () => signed({ alg: 'None', typ: 'JWT' }, () => '')],
  ['alg nOnE with a signature', () => signed({ alg: 'nOnE' }, byTheirs)],
  ['no alg', () => signed({ typ: 'JWT' }, byTheirs)],
  ['HS256 keyed with the public PEM', () => signed({ alg: 'HS256' }, (text) => hmac(text, ours.publicPem))],
  [
    'HS256 keyed with the PEM, trimmed',
    () => signed({ alg: 'HS256' }, (text) => hmac(text, ours.publicPem.trim())),
  ],
  [
    'HS256 keyed with the JWK',
    () => signed({ alg: 'HS256' }, (text) => hmac(text, JSON.stringify(jwkOf(ours.publicPem)))),
  ],
  ['HS256 with an empty key', () => signed({ alg: 'HS256', kid: '' }, (text) => hmac(text, ''))],
  [
    'a kid that leads to an empty file',
    () => signed({ alg: 'HS256', kid: '../../../dev/null' }, (text) => hmac(text, '')),
  ],
  ['a kid of SQL', () => signed({ alg: 'HS256', kid: "x' UNION SELECT 'k" }, (text) => hmac(text, 'k'))],
  ['the kid of our key', () => signed({ alg: 'ES256', kid: 'k1' }, byTheirs)],
  ['a kid of the prototype', () => signed({ alg: 'ES256', kid: '__proto__' }, byTheirs)],
  ['jku', () => signed({ alg: 'ES256', kid: 'k1', jku: `${origin}/theirs` }, byTheirs)],
  ['x5u', () => signed({ alg: 'ES256', x5u: `${origin}/theirs` }, byTheirs)],
  ['a key of its own', () => signed({ alg: 'ES256', jwk: jwkOf(theirs.publicPem) }, byTheirs)],
  ['a certificate of its own', () => signed({ alg: 'ES256', x5c: ['MIIB'] }, byTheirs)],
  ['an empty signature', () => signed({ alg: 'ES256' }, () => '')],
  ['a signature of zeros', () => signed({ alg: 'ES256' }, () => Buffer.alloc(64).toString('base64url'))],
  [
    'a signature in another form',
    () =>
      signed({ alg: 'ES256' }, (text) =>
        signBytes('sha256', Buffer.from(text), { key: theirs.key as KeyObject }).toString('base64url'),
      ),
  ],
  [
    'five parts, as if encrypted',
    () => [part({ alg: 'dir', enc: 'A256GCM' }), '', 'AAAA', 'AAAA', 'AAAA'].join('.'),
  ],
  [
    'JSON instead of three parts',
    () => JSON.stringify({ payload: part(claims()), protected: part({ alg: 'none' }), signature: '' }),
  ],
  ['a payload that is a list', () => signed({ alg: 'ES256' }, byOurs, [claims()])],
  ['a payload that is text', () => signed({ alg: 'ES256' }, byOurs, 'ann')],
  // Signed by us: what the header asks for must still not be passed over.
  ['crit that nobody understands', () => signed({ alg: 'ES256', crit: ['x'], x: 1 }, byOurs)],
  ['crit of exp, to have it passed over', () => signed({ alg: 'ES256', crit: ['exp'], exp: 1 }, byOurs)],
  ['b64 false', () => signed({ alg: 'ES256', b64: false, crit: ['b64'] }, byOurs)],
  ['an exp that is endless', () => signed({ alg: 'ES256' }, byOurs, { ...claims(), exp: 'Infinity' })],
  [
    'an exp below the prototype',
    () =>
      signed(
        { alg: 'ES256' },
        byOurs,
        JSON.parse('{"sub":"ann","org":"acme","__proto__":{"exp":4102444800}}'),
      ),
  ],
];
/** The same, signed with a secret that the node has. */
const secretTricks: typeof tricks = [
  ['crit that nobody understands', () => signed({ alg: 'HS256', crit: ['x'], x: 1 }, bySecret)],
  ['b64 false', () => signed({ alg: 'HS256', b64: false, crit: ['b64'] }, bySecret)],
  [
    'HS512 by the same secret',
    () =>
      signed({ alg: 'HS512' }, (text) => createHmac('sha512', testSecret).update(text).digest('base64url')),
  ],
  ['hs256 in small letters', () => signed({ alg: 'hs256' }, bySecret)],
];

const settings = {
  'a public key': () => ({ TURNOUT_JWT_PUBLIC_KEY: ours.publicPem }),
  'a key set': () => ({ TURNOUT_JWKS_URL: `${origin}/ours` }),
  'a secret': () => ({ TURNOUT_JWT_SECRET: testSecret }),
} as const;

describe.each(Object.entries(settings))('with %s', (_what, env) => {
  it.each([...tricks, ...secretTricks])('a token with %s is refused', async (_trick, token) => {
    const auth = createAuthenticator(readConfig(env()), systemClock);
    await expect(auth.verifyToken(token())).rejects.toMatchObject({ code: 'unauthorized' });
    expect(fetched).not.toContain('/theirs');
  });
});

it('the same signers are believed without a trick', async () => {
  const asymmetric = [settings['a public key'](), settings['a key set']()];
  for (const env of asymmetric) {
    const auth = createAuthenticator(readConfig(env), systemClock);
    expect(await auth.verifyToken(signed({ alg: 'ES256' }, byOurs))).toMatchObject({ sub: 'ann' });
    expect(await auth.verifyToken(await makeToken({}, { key: ours }))).toMatchObject({ sub: 'u1' });
  }
  const auth = createAuthenticator(readConfig(settings['a secret']()), systemClock);
  expect(await auth.verifyToken(signed({ alg: 'HS256' }, bySecret))).toMatchObject({ sub: 'ann' });
});
