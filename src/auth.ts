/**
 * Verifies the tokens that callers bring. Algorithms are pinned by the kind of key, never chosen by the token; whatever
 * is wrong with one is `unauthorized` and no more, and nothing here logs or keeps a token in clear.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type Claims, claimsSchema, type Role, roleSchema } from '../schema/token.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { asTurnoutError, fail } from './errors.ts';
import { type Authenticator, type Identity, ServiceClaim } from './identity.ts';
import { readPublicKey } from './public-key.ts';
import { createTicketOffice } from './tickets.ts';

/** What of the settings says which tokens are good. */
export type AuthConfig = Pick<
  Config,
  | 'TURNOUT_JWT_SECRET'
  | 'TURNOUT_JWT_PUBLIC_KEY'
  | 'TURNOUT_JWKS_URL'
  | 'TURNOUT_JWT_LEEWAY_S'
  | 'TURNOUT_TICKET_SECRET'
>;

const maxTokenChars = 16_384;
const cachedTokens = 10_000;
// A key that the issuer withdrew must not outlive it by more than this.
const cacheMs = 5 * 60_000;
const jwksTimeoutMs = 5000;

interface Verifier {
  readonly algorithms: readonly string[];
  readonly keyOf: JWTVerifyGetKey;
}

/** An authenticator whose tickets may be signed with another key than the one it began with. */
export interface KeyedAuthenticator extends Authenticator {
  /** No secret of the settings signs tickets: nodes that share a Redis should share one there. */
  readonly needsTicketSecret: boolean;
  /** Signs with this from now on; what was signed before goes on being good for its five minutes. */
  useTicketSecret(secret: string): void;
}

/** A secret for one run of the demo: HS256, 256 random bits. */
export const createDemoSecret = (): string => randomBytes(32).toString('base64url');

/**
 * @param demoSecret signs and verifies where no key is configured; a random one that nobody knows unless given.
 */
export function createAuthenticator(
  config: AuthConfig,
  clock: Clock,
  demoSecret: string = createDemoSecret(),
): KeyedAuthenticator {
  const verifier = verifierOf(config, demoSecret);
  const leewayS = config.TURNOUT_JWT_LEEWAY_S;
  const hasKeyPair = config.TURNOUT_JWT_PUBLIC_KEY !== undefined || config.TURNOUT_JWKS_URL !== undefined;
  const ownSecret = hasKeyPair ? randomSecret() : (config.TURNOUT_JWT_SECRET ?? demoSecret);
  let tickets = createTicketOffice(config.TURNOUT_TICKET_SECRET ?? ownSecret, clock);
  let earlier = tickets;
  const cache = new IdentityCache();

  return {
    async verifyToken(token) {
      if (token === undefined || token.length > maxTokenChars) throw fail('unauthorized');
      const nowMs = clock.now();
      const digest = createHash('sha256').update(token).digest('base64');
      const known = cache.get(digest, nowMs);
      if (known !== undefined) return known;
      const payload = await payloadOf(token, verifier, leewayS, nowMs);
      const parsed = claimsSchema.safeParse(payload);
      if (!parsed.success) throw fail('unauthorized', undefined, { cause: parsed.error });
      const identity = identityOf(parsed.data, leewayS);
      if (identity.expiresAtMs <= nowMs) throw fail('unauthorized');
      cache.set(digest, identity, nowMs);
      return identity;
    },
    async verifyTicket(ticket) {
      try {
        return await tickets.verify(ticket);
      } catch (thrown) {
        // Signed by the key before this one: tickets outlive the moment at which the nodes' shared key arrives.
        if (earlier === tickets || asTurnoutError(thrown).code !== 'ticket_expired') throw thrown;
        return earlier.verify(ticket);
      }
    },
    issueTicket: (ticket) => tickets.issue(ticket),
    needsTicketSecret: hasKeyPair && config.TURNOUT_TICKET_SECRET === undefined,
    useTicketSecret(secret) {
      earlier = tickets;
      tickets = createTicketOffice(secret, clock);
    },
  };
}

/** @throws unauthorized; overloaded when the issuer's keys can't be fetched, which no new token would cure. */
async function payloadOf(
  token: string,
  { algorithms, keyOf }: Verifier,
  leewayS: number,
  nowMs: number,
): Promise<JWTPayload> {
  const options = {
    algorithms: [...algorithms],
    clockTolerance: leewayS,
    currentDate: new Date(nowMs),
    requiredClaims: ['sub', 'exp'],
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

function verifierOf(config: AuthConfig, demoSecret: string): Verifier {
  if (config.TURNOUT_JWKS_URL !== undefined) return keySetVerifier(new URL(config.TURNOUT_JWKS_URL));
  if (config.TURNOUT_JWT_PUBLIC_KEY !== undefined) return pemVerifier(config.TURNOUT_JWT_PUBLIC_KEY);
  const secret = new TextEncoder().encode(config.TURNOUT_JWT_SECRET ?? demoSecret);
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

const randomSecret = (): string => randomBytes(32).toString('base64url');

function identityOf(claims: Claims, leewayS: number): Identity {
  return {
    org: claims.org,
    sub: claims.sub,
    expiresAtMs: (claims.exp + leewayS) * 1000,
    reads: new ServiceClaim(claims.services ?? ['*']),
    publishes: new ServiceClaim(claims.publish ?? []),
    roles: new Set((claims.roles ?? []).filter(isRole)),
    producerOrgs: claims.orgs ?? [claims.org],
  };
}

const isRole = (name: string): name is Role => roleSchema.safeParse(name).success;

interface CachedIdentity {
  readonly identity: Identity;
  readonly untilMs: number;
}

/**
 * Who the newest tokens belong to, so that a polling client doesn't pay for its signature every time. Two generations: a
 * full one becomes the old one, and what is asked for moves back. Nothing is ever searched for its oldest.
 */
class IdentityCache {
  private young = new Map<string, CachedIdentity>();
  private old = new Map<string, CachedIdentity>();

  get(digest: string, nowMs: number): Identity | undefined {
    const found = this.young.get(digest) ?? this.old.get(digest);
    if (found === undefined || found.untilMs <= nowMs) return undefined;
    if (!this.young.has(digest)) this.keep(digest, found);
    return found.identity;
  }

  set(digest: string, identity: Identity, nowMs: number): void {
    this.keep(digest, { identity, untilMs: Math.min(identity.expiresAtMs, nowMs + cacheMs) });
  }

  private keep(digest: string, entry: CachedIdentity): void {
    if (this.young.size >= cachedTokens / 2) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(digest, entry);
  }
}
