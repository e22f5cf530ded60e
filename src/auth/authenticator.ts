/**
 * Verifies the credentials of callers: a token by its key, any other credential by asking the auth server. Algorithms are
 * pinned by the kind of key, never chosen by the token. Every fault of a token is `unauthorized` and says no more; no token
 * is logged or kept in clear.
 */
import { randomBytes } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { type Claims, claimsSchema, type Role, roleSchema } from '../../schema/token.ts';
import { countedRoles } from './admin-roles.ts';
import { nameOf, orgIn, type OrgPlace, valueAt } from './claims.ts';
import { Credential } from './credential.ts';
import { jwtForm, keptTokens, payloadOf, verifierOf } from './jwt.ts';
import { type AskOutcome, AuthServer } from './server.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asTurnoutError, fail } from '../errors.ts';
import { type HeldClaims, memoryClaims } from './held-claims.ts';
import { type Authenticator, type Identity, userIdentity } from './identity.ts';
import { ownSecretsOf } from './own-secrets.ts';
import { createTicketOffice, type TicketOfficeOptions } from './tickets.ts';

const maxTokenChars = 16_384;

/** An authenticator whose tickets may be signed with another key than the one it began with. */
export type KeyedAuthenticator = ReturnType<typeof createAuthenticator>;

/** Returns a secret for one run, such as the demo's: 256 random bits. */
export const randomSecret = (): string => randomBytes(32).toString('base64url');

/**
 * @param demoSecret signs and verifies where no key is configured; by default a random one that nobody knows
 * @param onAsked called once for each request to TURNOUT_AUTH_URL
 */
export function createAuthenticator(
  config: Config,
  clock: Clock,
  demoSecret: string = randomSecret(),
  onAsked?: (outcome: AskOutcome, why: string) => void,
) {
  const leewayS = config.TURNOUT_JWT_LEEWAY_S;
  const { TURNOUT_AUTH_URL: url } = config;
  const holdsSecret = ownSecretsOf(config);
  const server =
    url === undefined
      ? undefined
      : new AuthServer({
          url,
          clock,
          holdsSecret,
          userPath: config.TURNOUT_AUTH_USER,
          org: orgPlace(config, config.TURNOUT_AUTH_ORG),
          cacheMs: config.TURNOUT_AUTH_CACHE_S * 1000,
          timeoutMs: config.TURNOUT_AUTH_TIMEOUT_MS,
          outageMs: config.TURNOUT_AUTH_OUTAGE_S * 1000,
          publishes: config.TURNOUT_USER_PUBLISH,
          onAsked,
        });
  const hasKeyPair = config.TURNOUT_JWT_PUBLIC_KEY !== undefined || config.TURNOUT_JWKS_URL !== undefined;
  const hasKey = hasKeyPair || config.TURNOUT_JWT_SECRET !== undefined;
  // With an auth server and no key, no made-up key may let anybody in.
  const verifier = hasKey || server === undefined ? verifierOf(config, demoSecret) : undefined;
  const ownSecret = hasKeyPair ? randomSecret() : (config.TURNOUT_JWT_SECRET ?? demoSecret);
  const vouchFor = (credential: Credential, who?: Pick<Identity, 'org' | 'sub'>): Promise<Identity> => {
    if (server === undefined) throw fail('unauthorized');
    return server.identify(credential, who);
  };
  let held = memoryClaims(clock);
  let onLong: TicketOfficeOptions['onLong'];
  const officeOf = (secret: string) =>
    createTicketOffice({
      secret,
      clock,
      vouchFor,
      held: () => held,
      onLong: (outcome) => onLong?.(outcome),
    });
  let tickets = officeOf(config.TURNOUT_TICKET_SECRET ?? ownSecret);
  let earlier = tickets;
  const verified = new LRUCache<string, { identity: Identity; untilMs: number }>({ max: keptTokens.most });

  const verifiedClaims = async (token: string) => {
    if (verifier === undefined || token.length > maxTokenChars) throw fail('unauthorized');
    const nowMs = clock.now();
    const payload = await payloadOf(token, verifier, leewayS, nowMs);
    const expiresAtMs = ((payload.exp ?? 0) + leewayS) * 1000;
    if (expiresAtMs <= nowMs) throw fail('unauthorized');
    return { payload, expiresAtMs, services: grantsIn(payload, config).services };
  };
  const verifyJwt = async (token: string, digest: string): Promise<Identity> => {
    const nowMs = clock.now();
    const known = verified.get(digest);
    if (known !== undefined && known.untilMs > nowMs) return known.identity;
    const { payload, expiresAtMs } = await verifiedClaims(token);
    const parsed = claimsSchema.safeParse(mappedClaims(payload, config));
    if (!parsed.success) throw fail('unauthorized', undefined, { cause: parsed.error });
    const { publish = config.TURNOUT_USER_PUBLISH, roles = [], ...claims } = parsed.data;
    const counted = countedRoles(roles.filter(isRole), config);
    const identity = userIdentity({ ...claims, expiresAtMs, publish, roles: counted });
    verified.set(digest, { identity, untilMs: Math.min(expiresAtMs, nowMs + keptTokens.ms) });
    return identity;
  };
  const verifySigned = async (token: string | undefined): Promise<Identity> => {
    if (token === undefined || token.length > maxTokenChars) throw fail('unauthorized');
    return verifyJwt(token, Credential.bearer(token).digest());
  };
  const verify = async (credential: Credential | undefined, asker?: string): Promise<Identity> => {
    if (credential === undefined) throw fail('unauthorized');
    const { token } = credential;
    const isAsked = server !== undefined && (verifier === undefined || !jwtForm.test(token ?? ''));
    return isAsked ? server.identify(credential, undefined, asker) : verifySigned(token);
  };

  const authenticator: Authenticator = {
    verify,
    verifyToken: (token, asker) => verify(token === undefined ? undefined : Credential.bearer(token), asker),
    async verifyTicket(ticket) {
      try {
        return await tickets.verify(ticket);
      } catch (thrown) {
        // Tickets signed with the previous key stay valid when the nodes' shared key arrives.
        if (earlier === tickets || asTurnoutError(thrown).code !== 'ticket_expired') throw thrown;
        return earlier.verify(ticket);
      }
    },
    issueTicket: (ticket) => tickets.issue(ticket),
  };
  return {
    ...authenticator,
    /** Verifies by the key alone, never by the auth server: for roles, which only tokens give. @throws as `verifyToken` */
    verifySigned,
    /**
     * Returns a token's claims as they are, its signature and expiry verified, when it expires, Unix milliseconds, the
     * configured leeway included, and its `services` claim from where the settings have it. @throws as `verifyToken`
     */
    verifiedClaims,
    /** True for a credential that holds a secret of Turnout's own: no server may be shown it. */
    holdsSecret,
    /** True where no setting gives a secret for tickets: nodes that share a Redis should share one there. */
    needsTicketSecret:
      (hasKeyPair || (server !== undefined && !hasKey)) && config.TURNOUT_TICKET_SECRET === undefined,
    /** Signs tickets with `secret` from now on; tickets signed before stay valid for their five minutes. */
    useTicketSecret(secret: string): void {
      earlier = tickets;
      tickets = officeOf(secret);
    },
    /** Holds the claims of long tickets there from now on. @param onTicket told of each ticket that was too long for a URL */
    holdClaimsIn(place: HeldClaims, onTicket: TicketOfficeOptions['onLong']): void {
      held = place;
      onLong = onTicket;
    },
    close: async () => server?.close(),
  };
}

const orgPlace = ({ TURNOUT_ORG: fixed }: Config, path = 'org'): OrgPlace =>
  fixed === undefined ? { path } : { fixed };

/** Returns what the token grants, unchecked: an issuer's own `roles` may mean something else. */
function grantsIn(payload: JWTPayload, { TURNOUT_CLAIM_GRANTS: path }: Config) {
  const grants = path === undefined ? payload : valueAt(payload, path);
  // Each is checked where it is used.
  return (grants ?? {}) as Partial<Record<keyof Claims, unknown>>;
}

/** Returns the token's claims under the names of docs/PROTOCOL.md, 4. */
function mappedClaims(payload: JWTPayload, config: Config): unknown {
  const { services, publish, roles, orgs } = grantsIn(payload, config);
  const sub = nameOf(valueAt(payload, config.TURNOUT_CLAIM_USER));
  const org = orgIn(payload, orgPlace(config, config.TURNOUT_CLAIM_ORG));
  return { sub, org, exp: payload.exp, services, publish, roles, orgs };
}

const isRole = (name: string): name is Role => roleSchema.safeParse(name).success;
