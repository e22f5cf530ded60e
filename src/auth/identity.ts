/** A verified caller, and what they may read and publish. Pure: src/auth/authenticator.ts verifies. */
import { isOwnService } from '../../schema/envelope.ts';
import type { Role } from '../../schema/token.ts';
import type { Credential } from './credential.ts';

/** A set of service names and `prefix*` patterns, matched whole: `chat` is not `chat/thread-7`. */
export class ServiceClaim {
  private readonly names: ReadonlySet<string>;
  private readonly prefixes: readonly string[];

  constructor(readonly patterns: readonly string[]) {
    this.names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
    this.prefixes = patterns
      .filter((pattern) => pattern.endsWith('*'))
      .map((pattern) => pattern.slice(0, -1));
  }

  get isEmpty(): boolean {
    return this.patterns.length === 0;
  }

  /** Never a service of Turnout's own, whatever the patterns. */
  allows(service: string): boolean {
    if (isOwnService(service)) return false;
    return this.names.has(service) || this.prefixes.some((prefix) => service.startsWith(prefix));
  }
}

/** Everything, Turnout's own services too: for whoever has asked the claims already and reads on a user's behalf. */
class EveryService extends ServiceClaim {
  override allows(): boolean {
    return true;
  }
}
export const everyService: ServiceClaim = new EveryService(['*']);

export interface Identity {
  readonly org: string;
  readonly sub: string;
  /** When the token expires, Unix milliseconds, the configured leeway included. */
  readonly expiresAtMs: number;
  /** What it may read; a token without the claim may read all. */
  readonly reads: ServiceClaim;
  /** What it may publish as an end user; a token without the claim may publish nothing. */
  readonly publishes: ServiceClaim;
  readonly roles: ReadonlySet<Role>;
  /** Orgs that a producer may publish for ('*': any); its own org where the token names none. */
  readonly producerOrgs: readonly string[];
  /** Present where an auth server vouches for the user until `expiresAtMs`; absent where a token was verified by its key. */
  readonly vouch?: Vouch;
}

/** What a token, a ticket or an auth server says of its user. Absent grants: reads all, publishes nothing, has no role. */
interface Grants extends Pick<Identity, 'org' | 'sub' | 'expiresAtMs'> {
  readonly services?: readonly string[] | undefined;
  readonly publish?: readonly string[] | undefined;
  readonly roles?: readonly Role[] | undefined;
  readonly orgs?: readonly string[] | undefined;
}

export const userIdentity = ({ org, sub, expiresAtMs, ...grants }: Grants): Identity => ({
  org,
  sub,
  expiresAtMs,
  reads: new ServiceClaim(grants.services ?? ['*']),
  publishes: new ServiceClaim(grants.publish ?? []),
  roles: new Set(grants.roles),
  producerOrgs: grants.orgs ?? [org],
});

/** How to renew an identity that an auth server gave. */
export interface Vouch {
  readonly credential: Credential;
  /** How long an open connection stays while the server can't be asked. */
  readonly outageMs: number;
  /** Returns the same user with a later expiry. @throws unauthorized, also for another user by now; overloaded in an outage */
  askAgain(): Promise<Identity>;
}

/** Returns a user's key for maps: no name holds a line feed, nor does an address. */
export const userKey = ({ org, sub }: Pick<Identity, 'org' | 'sub'>): string => `${org}\n${sub}`;

/** Returns how long a connection may wait for events until its identity expires, milliseconds; infinite where it is renewed. */
export const heldAtMostMs = ({ vouch, expiresAtMs }: Identity, nowMs: number): number =>
  vouch === undefined ? expiresAtMs - nowMs : Number.POSITIVE_INFINITY;

/** What a ticket carries besides the identity (docs/PROTOCOL.md, 6). */
export interface Ticket {
  readonly identity: Identity;
  readonly session: string | undefined;
  readonly supports: readonly string[];
  /** The version of the rules that the decision was made by. */
  readonly assignment: number;
  readonly override: 'websocket' | 'long-poll' | undefined;
}

/** Verifies the credentials of callers. */
export interface Authenticator {
  /**
   * @param asker by which an auth server is asked in turns: the caller's network, or a user's key once that is known
   * @throws unauthorized for a faulty credential, or none; overloaded while keys or auth server are out of reach
   */
  verify(credential: Credential | undefined, asker?: string): Promise<Identity>;
  /** The same for a bearer token. @throws unauthorized: missing, malformed, forged, expired. */
  verifyToken(token: string | undefined, asker?: string): Promise<Identity>;
  /**
   * @throws ticket_expired when it expired or doesn't verify (keys change); log_unavailable where its claims are held in
   * Redis and can't be read; unauthorized when the token behind it expired.
   */
  verifyTicket(ticket: string): Promise<Ticket>;
  issueTicket(ticket: Ticket): Promise<string>;
}
