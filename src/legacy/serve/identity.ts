/**
 * Who asks through an old API, as its profile says: read from the request, then told by the token itself or by the old
 * backend. Whoever it can't tell is left to the old backend, which answers them as it always did.
 */
import { LRUCache } from 'lru-cache';
import type { Profile, ProfileAuth } from '../../../schema/profile.ts';
import { type OrgPlace, whoIn } from '../../auth/claims.ts';
import { Credential } from '../../auth/credential.ts';
import { jwtForm, keptTokens } from '../../auth/jwt.ts';
import { type AskOutcome, AuthServer } from '../../auth/server.ts';
import type { KeyedAuthenticator } from '../../auth/authenticator.ts';
import type { Clock } from '../../clock.ts';
import { asTurnoutError } from '../../errors.ts';
import { type Identity, userIdentity } from '../../auth/identity.ts';
import type { LegacyRequest } from '../dialect/dialect.ts';

export interface LegacyCaller {
  readonly org: string;
  readonly user: string;
  /** When the token expires, or the old backend has to be asked again, Unix milliseconds. */
  readonly expiresAtMs: number;
  /** The same, for a poll to be held by: with a `vouch`, the holder asks again by itself. Reads all, publishes nothing. */
  readonly identity: Identity;
}

/** `anonymous`: nobody, or refused. `unavailable`: nobody could be asked. */
export type LegacyResolution = LegacyCaller | 'anonymous' | 'unavailable';

export interface LegacyIdentity {
  /** Never throws. */
  resolve(request: Pick<LegacyRequest, 'query' | 'headers'>): Promise<LegacyResolution>;
  close(): Promise<void>;
}

export interface LegacyIdentityDeps {
  readonly clock: Clock;
  /** Verifies a profile's `jwt` by the node's own key settings. */
  readonly authenticator: Pick<KeyedAuthenticator, 'verifiedClaims'>;
  /** Once for each request to the old backend. */
  readonly onAsked?: (outcome: AskOutcome, why: string) => void;
}

export function createLegacyIdentity(
  { auth }: Pick<Profile, 'auth'>,
  { clock, authenticator, onAsked }: LegacyIdentityDeps,
): LegacyIdentity {
  const server =
    auth?.resolve &&
    new AuthServer({
      url: auth.resolve.url,
      userPath: auth.resolve.user,
      org: orgPlace(auth.resolve.org),
      cacheMs: auth.resolve.cacheSeconds * 1000,
      clock,
      onAsked,
    });
  const jwt = auth?.jwt;
  const verified = new LRUCache<string, { caller: LegacyCaller; untilMs: number }>({ max: keptTokens.most });

  const byToken = async (
    { user, org }: NonNullable<ProfileAuth['jwt']>,
    token: string,
    digest: string,
  ): Promise<LegacyResolution> => {
    const nowMs = clock.now();
    const known = verified.get(digest);
    if (known !== undefined && known.untilMs > nowMs) return known.caller;
    const { payload, expiresAtMs } = await authenticator.verifiedClaims(token);
    const who = whoIn(payload, user, orgPlace(org));
    if (who === undefined) return 'anonymous';
    const caller = callerOf(userIdentity({ org: who.org, sub: who.user, expiresAtMs }));
    verified.set(digest, { caller, untilMs: Math.min(expiresAtMs, nowMs + keptTokens.ms) });
    return caller;
  };

  return {
    async resolve(request) {
      const credential = auth && credentialIn(auth, request);
      if (auth === undefined || credential === undefined) return 'anonymous';
      const { token } = credential;
      try {
        // What has a JWT's form is the key's to judge where the profile has both: a forged one is not asked about.
        const isOwn = jwt !== undefined && (server === undefined || jwtForm.test(token ?? ''));
        if (isOwn) return await byToken(jwt, token ?? '', credential.digest());
        return server === undefined ? 'anonymous' : callerOf(await server.identify(credential));
      } catch (thrown) {
        return asTurnoutError(thrown).code === 'unauthorized' ? 'anonymous' : 'unavailable';
      }
    },
    close: async () => server?.close(),
  };
}

/** What the profile says they bring; undefined where they don't. */
function credentialIn(
  { from, name }: ProfileAuth,
  { headers, query }: Pick<LegacyRequest, 'query' | 'headers'>,
): Credential | undefined {
  switch (from) {
    case 'cookie':
      return Credential.cookie(headers['cookie'], name ?? '');
    case 'bearer': {
      const { authorization } = headers;
      return authorization === undefined ? undefined : Credential.authorization(authorization);
    }
    case 'header': {
      const value = headers[(name ?? '').toLowerCase()];
      return value === undefined ? undefined : Credential.header(name ?? '', value);
    }
    case 'query': {
      const value = query.get(name ?? '');
      return value === null ? undefined : Credential.query(name ?? '', value);
    }
  }
}

const orgPlace = (org: string): OrgPlace => (org.startsWith('$') ? { path: org } : { fixed: org });

const callerOf = (identity: Identity): LegacyCaller => ({
  org: identity.org,
  user: identity.sub,
  expiresAtMs: identity.expiresAtMs,
  identity,
});
