/** Verifies a token's signature and expiry. Algorithms are pinned by the kind of key, never chosen by the token. */
import type { KeyObject } from 'node:crypto';
import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
  type JWTVerifyOptions,
} from 'jose';
import type { Config } from '../config/config.ts';
import { fail, TurnoutError } from '../errors.ts';
import { readPublicKey } from '../config/public-key.ts';

const jwksTimeoutMs = 5000;

/** The form of a JWT. Other credentials with two dots in them go to the auth server. */
export const jwtForm = /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/;
/** Bounds of the cache of verified tokens: tokens of a key that the issuer withdrew stay valid for no longer than this. */
export const keptTokens = { most: 10_000, ms: 5 * 60_000 };

export interface Verifier {
  readonly keyOf: JWTVerifyGetKey;
  /** Algorithms, and the issuer and audience that a token must have where the settings say so. */
  readonly options: Pick<JWTVerifyOptions, 'algorithms' | 'issuer' | 'audience'>;
}

/** @throws unauthorized; overloaded when the issuer's keys can't be fetched, which no new token would cure. */
export async function payloadOf(
  token: string,
  { keyOf, options: pinned }: Verifier,
  leewayS: number,
  nowMs: number,
): Promise<JWTPayload> {
  const currentDate = new Date(nowMs);
  const options = { ...pinned, clockTolerance: leewayS, currentDate, requiredClaims: ['exp'] };
  try {
    return (await jwtVerify(token, keyOf, options)).payload;
  } catch (thrown) {
    if (thrown instanceof errors.JWKSMultipleMatchingKeys)
      for await (const key of thrown) {
        const verified = await jwtVerify(token, key, options).catch(() => undefined);
        if (verified !== undefined) return verified.payload;
      }
    throw thrown instanceof TurnoutError ? thrown : fail('unauthorized', undefined, { cause: thrown });
  }
}

/** @param demoSecret verifies where the settings give no key */
export function verifierOf(config: Config, demoSecret: string): Verifier {
  const given = keyVerifier(config);
  // Tokens of a made-up key are printed at the start, without issuer and audience: with them they would be refused.
  if (given === undefined) return secretVerifier(demoSecret);
  const { TURNOUT_JWT_ISSUER: issuer, TURNOUT_JWT_AUDIENCE: audience } = config;
  const names = { ...(issuer !== undefined && { issuer }), ...(audience !== undefined && { audience }) };
  return { ...given, options: { ...given.options, ...names } };
}

function keyVerifier(config: Config): Verifier | undefined {
  if (config.TURNOUT_JWKS_URL !== undefined) return keySetVerifier(new URL(config.TURNOUT_JWKS_URL));
  if (config.TURNOUT_JWT_PUBLIC_KEY !== undefined)
    return verifierBy(readPublicKey(config.TURNOUT_JWT_PUBLIC_KEY));
  return config.TURNOUT_JWT_SECRET === undefined ? undefined : secretVerifier(config.TURNOUT_JWT_SECRET);
}

const secretVerifier = (text: string): Verifier =>
  verifierBy({ key: new TextEncoder().encode(text), algorithm: 'HS256' });

const verifierBy = ({ key, algorithm }: { key: KeyObject | Uint8Array; algorithm: string }): Verifier => ({
  options: { algorithms: [algorithm] },
  keyOf: async () => key,
});

// jose's codes for a failed fetch: a refused connection, a timeout, an answer that is no key set. The others are verdicts.
const fetchFailures = new Set(['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID']);

function keySetVerifier(url: URL): Verifier {
  const keys = createRemoteJWKSet(url, { timeoutDuration: jwksTimeoutMs });
  return {
    // Never HS256: a key set is public, so its bytes must not serve as a secret.
    options: { algorithms: ['RS256', 'ES256', 'EdDSA'] },
    async keyOf(header, token) {
      try {
        return await keys(header, token);
      } catch (thrown) {
        if (thrown instanceof errors.JOSEError && !fetchFailures.has(thrown.code)) throw thrown;
        throw fail('overloaded', 'the signing keys cannot be fetched', { cause: thrown });
      }
    },
  };
}
