/** Verifies a token's signature and expiry. Algorithms are pinned by the kind of key, never chosen by the token. */
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Config } from '../config/config.ts';
import { fail } from '../errors.ts';
import { readPublicKey } from '../config/public-key.ts';

type KeyConfig = Pick<Config, 'TURNOUT_JWT_SECRET' | 'TURNOUT_JWT_PUBLIC_KEY' | 'TURNOUT_JWKS_URL'> &
  Partial<Pick<Config, 'TURNOUT_JWT_ISSUER' | 'TURNOUT_JWT_AUDIENCE'>>;

const jwksTimeoutMs = 5000;

/** The form of every token that a key verifies; three parts that are no JWT's are not looked at. */
export const jwtForm = /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/;
/** What is kept of tokens that were verified: a key that the issuer withdrew must not outlive it by more than this. */
export const keptTokens = { most: 10_000, ms: 5 * 60_000 };

export interface Verifier {
  readonly algorithms: readonly string[];
  readonly keyOf: JWTVerifyGetKey;
  /** A token's `iss` must be this; undefined: it may be anybody's. */
  readonly issuer?: string | undefined;
  /** A token's `aud` must name one of these; undefined: it may be meant for anybody. */
  readonly audience?: readonly string[] | undefined;
}

/** @throws unauthorized; overloaded when the issuer's keys can't be fetched, which no new token would cure. */
export async function payloadOf(
  token: string,
  { algorithms, keyOf, issuer, audience }: Verifier,
  leewayS: number,
  nowMs: number,
): Promise<JWTPayload> {
  const options = {
    algorithms: [...algorithms],
    clockTolerance: leewayS,
    currentDate: new Date(nowMs),
    requiredClaims: ['exp'],
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience: [...audience] }),
  };
  try {
    return (await jwtVerify(token, keyOf, options)).payload;
  } catch (thrown) {
    if (thrown instanceof errors.JWKSMultipleMatchingKeys)
      for await (const key of thrown) {
        const verified = await jwtVerify(token, key, options).catch(() => undefined);
        if (verified !== undefined) return verified.payload;
      }
    if (isKeyOutage(thrown))
      throw fail('overloaded', 'the signing keys cannot be fetched', { cause: thrown });
    throw fail('unauthorized', undefined, { cause: thrown });
  }
}

/** True where fetching the key set failed: a timeout, a refused connection, an answer that is no key set. */
function isKeyOutage(thrown: unknown): boolean {
  if (thrown instanceof errors.JWKSTimeout || thrown instanceof errors.JWKSInvalid) return true;
  return thrown instanceof KeySetUnreachable;
}

class KeySetUnreachable extends Error {}

export function verifierOf(config: KeyConfig, demoSecret: string): Verifier {
  const given = keyVerifier(config);
  // What a made-up key signs is printed at the start, and names nobody: it would be refused.
  if (given === undefined) return secretVerifier(demoSecret);
  const { TURNOUT_JWT_ISSUER: issuer, TURNOUT_JWT_AUDIENCE: audience } = config;
  return { ...given, issuer, audience };
}

function keyVerifier(config: KeyConfig): Verifier | undefined {
  if (config.TURNOUT_JWKS_URL !== undefined) return keySetVerifier(new URL(config.TURNOUT_JWKS_URL));
  if (config.TURNOUT_JWT_PUBLIC_KEY !== undefined) return pemVerifier(config.TURNOUT_JWT_PUBLIC_KEY);
  return config.TURNOUT_JWT_SECRET === undefined ? undefined : secretVerifier(config.TURNOUT_JWT_SECRET);
}

function secretVerifier(text: string): Verifier {
  const secret = new TextEncoder().encode(text);
  return { algorithms: ['HS256'], keyOf: async () => secret };
}

function keySetVerifier(url: URL): Verifier {
  const keys = createRemoteJWKSet(url, { timeoutDuration: jwksTimeoutMs });
  return {
    // Never HS256: a key set is public, so its bytes must not serve as a secret.
    algorithms: ['RS256', 'ES256', 'EdDSA'],
    async keyOf(header, token) {
      try {
        return await keys(header, token);
      } catch (thrown) {
        // jose tells "the set has no such key" by classes of its own; anything it let through is the network's fault.
        const isVerdict = thrown instanceof errors.JOSEError && thrown.code !== 'ERR_JOSE_GENERIC';
        if (isVerdict) throw thrown;
        throw new KeySetUnreachable('the key set cannot be fetched', { cause: thrown });
      }
    },
  };
}

function pemVerifier(pem: string): Verifier {
  const { key, algorithm } = readPublicKey(pem);
  return { algorithms: [algorithm], keyOf: async () => key };
}
