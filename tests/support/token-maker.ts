/** Tokens as a company's login would sign them, and forged ones. The tests' own: nothing of the gateway is asked. */
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { SignJWT, importPKCS8 } from 'jose';

export const testSecret = 'a-secret-of-the-tests-and-of-nobody-else';
export const testAdminToken = 'an-admin-token-of-the-tests';

export interface TestClaims {
  readonly sub?: string;
  readonly org?: string;
  readonly exp?: number;
  readonly services?: readonly string[];
  readonly publish?: readonly string[];
  readonly roles?: readonly string[];
  readonly orgs?: readonly string[];
}

const nowS = (): number => Math.floor(Date.now() / 1000);

/** HS256 with the tests' secret, for an hour unless `exp` (Unix seconds) says otherwise. */
export function makeToken(claims: TestClaims = {}, secret: string = testSecret): Promise<string> {
  const payload = { sub: 'ann', org: 'acme', exp: nowS() + 3600, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
}

/** A token that a producer publishes with, for any org unless `orgs` says otherwise. */
export const makeProducerToken = (claims: TestClaims = {}): Promise<string> =>
  makeToken({ sub: 'backend', roles: ['producer'], orgs: ['*'], ...claims });

/** A token that expires `inS` seconds from now: `exp` is in whole seconds, so it is up to one later. */
export const makeShortToken = (inS: number, claims: TestClaims = {}): Promise<string> =>
  makeToken({ ...claims, exp: Math.ceil(Date.now() / 1000) + inS });

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const forgedClaims = (): object => ({ sub: 'ann', org: 'acme', exp: nowS() + 3600 });

/** `alg: none`, without a signature. */
export const makeUnsignedToken = (): string =>
  `${part({ alg: 'none', typ: 'JWT' })}.${part(forgedClaims())}.`;

/** HS256 keyed with the text of a public key: what a verifier without pinned algorithms takes for good. */
export function makeConfusedToken(publicKeyPem: string): string {
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(forgedClaims())}`;
  return `${signed}.${createHmac('sha256', publicKeyPem).update(signed).digest('base64url')}`;
}

export interface RsaKey {
  readonly publicKeyPem: string;
  sign(claims?: TestClaims): Promise<string>;
}

export function makeRsaKey(): RsaKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return {
    publicKeyPem: publicKey,
    sign: async (claims = {}) =>
      new SignJWT({ ...forgedClaims(), ...claims })
        .setProtectedHeader({ alg: 'RS256' })
        .sign(await importPKCS8(privateKey, 'RS256')),
  };
}
