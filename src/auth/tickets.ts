/**
 * Tickets (docs/PROTOCOL.md, 6): negotiate signs one, so that a stream opens without a long-lived token in its URL. Their key
 * is always derived, so that a token never verifies as a ticket, nor a ticket as a token, even where their secrets are equal.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { limits } from '../../schema/codes.ts';
import { orgSchema, userSchema } from '../../schema/envelope.ts';
import { transportSchema } from '../../schema/frames.ts';
import { roleSchema, servicePatternSchema } from '../../schema/token.ts';
import { Credential } from './credential.ts';
import type { Clock } from '../clock.ts';
import { asTurnoutError, fail } from '../errors.ts';
import type { HeldClaims } from './held-claims.ts';
import { type Identity, type Ticket, userIdentity } from './identity.ts';
import { seal, unseal } from './seal.ts';

/** The `typ` of a ticket's header: no other token has it. */
export const ticketType = 'turnout-ticket+jwt';
// A ticket stands in a URL, and proxies refuse long ones: nginx at 8 KiB, some filters at 2,048 characters.
const urlChars = 2000;

/** What a ticket always carries. */
const coreSchema = z.object({
  sub: userSchema,
  org: orgSchema,
  exp: z.number(),
  /** When the token behind it expires, Unix milliseconds. */
  tokenExpMs: z.number(),
  session: z.string().optional(),
  supports: z.array(z.string()),
  assignment: z.int().min(0),
  override: transportSchema.optional(),
});
/** What a caller's claims may make long. */
const grantsSchema = z.object({
  services: z.array(servicePatternSchema),
  publish: z.array(servicePatternSchema),
  roles: z.array(roleSchema),
  orgs: z.array(z.string()),
  /** The credential that an auth server is asked about, where no token is behind the ticket; in a ticket encrypted. */
  credential: z.string().optional(),
});
type Grants = z.infer<typeof grantsSchema>;
/** A ticket has its grants in itself, or the id under which they are held. */
const ticketClaimsSchema = z.union([
  coreSchema.extend({ held: z.string() }),
  coreSchema.extend(grantsSchema.shape),
]);

/** What became of a ticket that was too long for a URL. `unavailable`: it is handed out long, since they can't be held. */
type LongTicket = 'held' | 'unavailable';

export interface TicketOfficeOptions {
  readonly secret: string;
  readonly clock: Clock;
  /** Asks whether a credential is still that user's. @throws unauthorized, overloaded */
  readonly vouchFor: (credential: Credential, who: Pick<Identity, 'org' | 'sub'>) => Promise<Identity>;
  readonly held: () => HeldClaims;
  readonly onLong?: ((outcome: LongTicket) => void) | undefined;
}

export function createTicketOffice({ secret, clock, vouchFor, held, onLong }: TicketOfficeOptions) {
  const derived = (use: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', use, 32));
  const key = derived('turnout-ticket');
  const credentialKey = derived('turnout-ticket-credential');
  const heldKey = derived('turnout-ticket-held');
  const idKey = derived('turnout-ticket-id');

  /** Made from the grants, so that all tickets of one token share an entry, and none opens with another's. */
  const idOf = (text: string): string => createHmac('sha256', idKey).update(text).digest('base64url');
  const sign = (claims: object): Promise<string> =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'HS256', typ: ticketType }).sign(key);
  const verifiedClaims = async (text: string, nowMs: number) => {
    const options = { algorithms: ['HS256'], typ: ticketType, currentDate: new Date(nowMs) };
    return ticketClaimsSchema.parse((await jwtVerify(text, key, options)).payload);
  };
  const hold = async (grants: Grants): Promise<string> => {
    const text = JSON.stringify(grants);
    const id = idOf(text);
    await held().put(id, seal(text, heldKey));
    return id;
  };
  const heldGrants = async (id: string): Promise<Grants> => {
    const text = unseal((await held().get(id)) ?? '', heldKey);
    if (idOf(text) !== id) throw new Error('held under the id of other claims');
    return grantsSchema.parse(JSON.parse(text));
  };
  const read = async (text: string, nowMs: number) => {
    try {
      const claims = await verifiedClaims(text, nowMs);
      if ('held' in claims) return { ...claims, ...(await heldGrants(claims.held)) };
      const { credential } = claims;
      return {
        ...claims,
        ...(credential !== undefined && { credential: unseal(credential, credentialKey) }),
      };
    } catch (cause) {
      if (asTurnoutError(cause).code === 'log_unavailable') throw cause;
      throw fail('ticket_expired', undefined, { cause });
    }
  };
  return {
    async issue(ticket: Ticket): Promise<string> {
      const core = coreOf(ticket, clock.now());
      const grants = grantsOf(ticket.identity);
      const { credential } = grants;
      const whole = await sign({
        ...core,
        ...grants,
        ...(credential !== undefined && { credential: seal(credential, credentialKey) }),
      });
      if (whole.length <= urlChars) return whole;
      try {
        const short = await sign({ ...core, held: await hold(grants) });
        onLong?.('held');
        return short;
      } catch (thrown) {
        if (asTurnoutError(thrown).code !== 'log_unavailable') throw thrown;
        // Better long than none: nodes open it without Redis, and not every proxy refuses it.
        onLong?.('unavailable');
        return whole;
      }
    },
    /**
     * @throws ticket_expired when it expired or doesn't verify, or its claims are held no longer; log_unavailable when those
     * can't be read; unauthorized when the token behind it expired.
     */
    async verify(text: string): Promise<Ticket> {
      const nowMs = clock.now();
      const claims = await read(text, nowMs);
      const ticket = ticketOf(claims);
      if (claims.credential !== undefined) {
        // From the cache, or asked now: a credential that was refused since the ticket was issued opens nothing.
        const identity = await vouchFor(Credential.unpack(claims.credential), ticket.identity);
        return { ...ticket, identity };
      }
      if (claims.tokenExpMs <= nowMs) throw fail('unauthorized');
      return ticket;
    },
  };
}

function coreOf({ identity, session, supports, assignment, override }: Ticket, nowMs: number) {
  const { sub, org, expiresAtMs: tokenExpMs } = identity;
  const exp = Math.ceil((nowMs + limits.ticketMs) / 1000);
  return { sub, org, exp, tokenExpMs, session, supports: knownTransports(supports), assignment, override };
}

/** A client that names only transports of other makes supports none of ours but long-poll; an empty list stays empty. */
function knownTransports(supports: readonly string[]): readonly string[] {
  const known = new Set(supports.filter((name) => transportSchema.safeParse(name).success));
  return known.size === 0 && supports.length > 0 ? ['long-poll'] : [...known];
}

const grantsOf = ({ reads, publishes, roles, producerOrgs, vouch }: Identity): Grants => ({
  services: [...reads.patterns],
  publish: [...publishes.patterns],
  roles: [...roles],
  orgs: [...producerOrgs],
  credential: vouch?.credential.pack(),
});

function ticketOf(claims: z.infer<typeof coreSchema> & Grants): Ticket {
  const { session, supports, assignment, override, ...token } = claims;
  const identity = userIdentity({ ...token, expiresAtMs: token.tokenExpMs });
  return { identity, session, supports, assignment, override };
}
