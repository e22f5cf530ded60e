/** Who is asking, once a token was verified, and what they may read and publish. Pure: src/auth/authenticator.ts verifies. */
import type { Role } from '../../schema/token.ts';
import type { Credential } from './credential.ts';

/** A set of service names and `prefix*` patterns, matched whole: `chat` is not `chat/thread-7`. */
export class ServiceClaim {
  readonly patterns: readonly string[];
  private readonly names: ReadonlySet<string>;
  private readonly prefixes: readonly string[];

  constructor(patterns: readonly string[]) {
    this.patterns = patterns;
    this.names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
    this.prefixes = patterns
      .filter((pattern) => pattern.endsWith('*'))
      .map((pattern) => pattern.slice(0, -1));
  }

  allows(service: string): boolean {
    return this.names.has(service) || this.prefixes.some((prefix) => service.startsWith(prefix));
  }
}

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
  /** Another server vouches for it, for as long as `expiresAtMs` says; absent where a token speaks for itself. */
  readonly vouch?: Vouch;
}

/** What a token, a ticket or an auth server says of its user. Absent grants: reads all, publishes nothing, has no role. */
interface Grants extends Pick<Identity, 'org' | 'sub' | 'expiresAtMs'> {
  readonly services?: readonly string[] | undefined;
  readonly publish?: readonly string[] | undefined;
  readonly roles?: readonly Role[] | undefined;
  readonly orgs?: readonly string[] | undefined;
}

export const userIdentity = ({
  org,
  sub,
  expiresAtMs,
  services,
  publish,
  roles,
  orgs,
}: Grants): Identity => ({
  org,
  sub,
  expiresAtMs,
  reads: new ServiceClaim(services ?? ['*']),
  publishes: new ServiceClaim(publish ?? []),
  roles: new Set(roles),
  producerOrgs: orgs ?? [org],
});

/** Whom to ask when the time of an identity is up that is no token's own. */
export interface Vouch {
  readonly credential: Credential;
  /** How long whoever is connected stays while nobody can be asked. */
  readonly outageMs: number;
  /** The same caller, for longer. @throws unauthorized, also where it is somebody else by now; overloaded in an outage */
  askAgain(): Promise<Identity>;
}

/** How long a connection of theirs may wait for events without anybody being asked about them, milliseconds. */
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

/** Verifies what callers bring. */
export interface Authenticator {
  /** @throws unauthorized, whatever is wrong with it or where there is none; overloaded while nobody can be asked. */
  verify(credential: Credential | undefined): Promise<Identity>;
  /** The same for a bearer token. @throws unauthorized: missing, malformed, forged, expired. */
  verifyToken(token: string | undefined): Promise<Identity>;
  /** @throws ticket_expired when it expired or doesn't verify (keys change); unauthorized when the token behind it expired. */
  verifyTicket(ticket: string): Promise<Ticket>;
  issueTicket(ticket: Ticket): Promise<string>;
}
