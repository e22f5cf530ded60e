/** Tokens for tests, signed by keys that the test makes: every algorithm that is served, and those that must not be. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';

export const testSecret = 'a secret for tests alone, 32 chars';

export interface TokenClaims extends JWTPayload {
  org?: string;
  services?: string[];
  publish?: string[];
  roles?: string[];
  orgs?: string[];
}

export type Algorithm = 'HS256' | 'RS256' | 'ES256' | 'EdDSA';

export interface SigningKey {
  readonly algorithm: Algorithm;
  readonly key: KeyObject | Uint8Array;
  /** The public half, PEM; empty for a secret. */
  readonly publicPem: string;
}

export const secretKey = (secret = testSecret): SigningKey => ({
  algorithm: 'HS256',
  key: new TextEncoder().encode(secret),
  publicPem: '',
});

export function keyPair(algorithm: Exclude<Algorithm, 'HS256'>): SigningKey {
  const { privateKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : algorithm === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519');
  const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
  return { algorithm, key: privateKey, publicPem };
}

/** A token of user `u1` of org `acme`, good for an hour from `nowMs`, unless `claims` say otherwise. */
export function makeToken(
  claims: TokenClaims = {},
  options: { key?: SigningKey; nowMs?: number; kid?: string; typ?: string } = {},
): Promise<string> {
  const { key = secretKey(), nowMs = Date.now(), kid, typ } = options;
  const payload = { sub: 'u1', org: 'acme', exp: Math.floor(nowMs / 1000) + 3600, ...claims };
  const header = { alg: key.algorithm, ...(kid !== undefined && { kid }), ...(typ !== undefined && { typ }) };
  return new SignJWT(payload).setProtectedHeader(header).sign(key.key);
}

/** What a forger would send: any header and payload, any third part. */
export function forgedToken(header: object, payload: object, signature = ''): string {
  return `${encode(header)}.${encode(payload)}.${signature}`;
}

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
