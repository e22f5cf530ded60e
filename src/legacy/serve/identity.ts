/**
 * Tells the caller of a legacy API, as its profile says: by the credential of the request, from the token itself or from the
 * upstream's answer. A caller that it can't tell is left to the upstream, which answers them as it always did.
 */
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Profile, ProfileAuth } from '../../../schema/profile.ts';
import { servicePatternSchema } from '../../../schema/token.ts';
import { type OrgPlace, whoIn } from '../../auth/claims.ts';
import { Credential } from '../../auth/credential.ts';
import { jwtForm, keptTokens } from '../../auth/jwt.ts';
import { type AskOutcome, AuthServer } from '../../auth/server.ts';
import type { KeyedAuthenticator } from '../../auth/authenticator.ts';
import type { Clock } from '../../clock.ts';
import { asTurnoutError } from '../../errors.ts';
import { type Identity, userIdentity } from '../../auth/identity.ts';
import type { LegacyRequest } from '../dialect/dialect.ts';

export interface LegacyIdentityDeps {
  readonly clock: Clock;
  /** Verifies a profile's `jwt` by the node's own key settings. */
  readonly authenticator: Pick<KeyedAuthenticator, 'verifiedClaims' | 'holdsSecret'>;
  /** Once for each request to the upstream. */
  readonly onAsked?: (outcome: AskOutcome, why: string) => void;
}

type Verified = Readonly<{ identity: Identity; untilMs: number }>;

export class LegacyIdentity {
  private readonly auth: ProfileAuth | undefined;
  private readonly server: AuthServer | undefined;
  /** By the credential's digest. */
  private readonly verified = new LRUCache<string, Verified>({ max: keptTokens.most });

  constructor(
    { auth }: Pick<Profile, 'auth'>,
    private readonly deps: LegacyIdentityDeps,
  ) {
    const { clock, onAsked } = deps;
    const { holdsSecret } = deps.authenticator;
    this.auth = auth;
    this.server =
      auth?.resolve &&
      new AuthServer({
        url: auth.resolve.url,
        userPath: auth.resolve.user,
        org: orgPlace(auth.resolve.org),
        cacheMs: auth.resolve.cacheSeconds * 1000,
        clock,
        holdsSecret,
        onAsked,
      });
  }

  /**
   * The caller as a poll is held by: reads what a token's `services` claim allows, publishes nothing; with a `vouch`, the
   * holder asks again by itself.
   * @param network the caller's, as the limits by address count it
   * @returns `anonymous`: nobody, or refused. `unavailable`: nobody could be asked. Never throws.
   */
  async resolve(
    request: Pick<LegacyRequest, 'query' | 'headers'>,
    network?: string,
  ): Promise<Identity | 'anonymous' | 'unavailable'> {
    const { auth, server } = this;
    const credential = auth && credentialIn(auth, request);
    if (auth === undefined || credential === undefined) return 'anonymous';
    const { token = '' } = credential;
    try {
      // What has a JWT's form is the key's to judge where the profile has both: a forged one is not asked about.
      if (auth.jwt !== undefined && (server === undefined || jwtForm.test(token)))
        return await this.byToken(auth.jwt, token, credential.digest());
      return server === undefined ? 'anonymous' : await server.identify(credential, undefined, network);
    } catch (thrown) {
      return asTurnoutError(thrown).code === 'unauthorized' ? 'anonymous' : 'unavailable';
    }
  }

  async close(): Promise<void> {
    await this.server?.close();
  }

  private async byToken(
    { user, org, services: held }: NonNullable<ProfileAuth['jwt']>,
    token: string,
    digest: string,
  ): Promise<Identity | 'anonymous'> {
    const nowMs = this.deps.clock.now();
    const known = this.verified.get(digest);
    if (known !== undefined && known.untilMs > nowMs) return known.identity;
    const { payload, expiresAtMs, services } = await this.deps.authenticator.verifiedClaims(token);
    const who = whoIn(payload, user, orgPlace(org));
    if (who === undefined) return 'anonymous';
    const grants = held === 'ignored' ? {} : { services: readableServices(services) };
    const identity = userIdentity({ org: who.org, sub: who.user, expiresAtMs, ...grants });
    this.verified.set(digest, { identity, untilMs: Math.min(expiresAtMs, nowMs + keptTokens.ms) });
    return identity;
  }
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

/** A claim of another form allows nothing: a poll of Turnout's own would refuse its token. */
function readableServices(claim: unknown): readonly string[] | undefined {
  if (claim === undefined) return undefined;
  return z.array(servicePatternSchema).safeParse(claim).data ?? [];
}

const orgPlace = (org: string): OrgPlace => (org.startsWith('$') ? { path: org } : { fixed: org });
