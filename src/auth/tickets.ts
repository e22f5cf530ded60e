/**
 * Tickets (docs/PROTOCOL.md, 6): negotiate signs one, so that a stream opens without a long-lived token in its URL. Their key
 * is always derived, so that a token never verifies as a ticket, nor a ticket as a token, even where their secrets are equal.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { limits } from '../../schema/codes.ts';
import { orgSchema, userSchema } from '../../schema/envelope.ts';
import { transportSchema } from '../../schema/frames.ts';
import { roleSchema, servicePatternSchema } from '../../schema/token.ts';
import { Credential } from './credential.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import { type Identity, type Ticket, userIdentity } from './identity.ts';

/** The `typ` of a ticket's header: no other token has it. */
export const ticketType = 'turnout-ticket+jwt';

const ticketClaimsSchema = z.object({
  sub: userSchema,
  org: orgSchema,
  exp: z.number(),
  /** When the token behind it expires, Unix milliseconds. */
  tokenExpMs: z.number(),
  services: z.array(servicePatternSchema),
  publish: z.array(servicePatternSchema),
  roles: z.array(roleSchema),
  orgs: z.array(z.string()),
  session: z.string().optional(),
  supports: z.array(z.string()),
  assignment: z.int().min(0),
  override: transportSchema.optional(),
  /** Encrypted: the credential that an auth server is asked about, where no token is behind the ticket. */
  credential: z.string().optional(),
});
type TicketClaims = z.infer<typeof ticketClaimsSchema>;

/** @param vouchFor asks whether a credential is still that user's. @throws unauthorized, overloaded */
export function createTicketOffice(
  secret: string,
  clock: Clock,
  vouchFor: (credential: Credential, who: Pick<Identity, 'org' | 'sub'>) => Promise<Identity>,
) {
  const sealKey = Buffer.from(hkdfSync('sha256', secret, '', 'turnout-ticket-credential', 32));
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'turnout-ticket', 32));
  return {
    issue(ticket: Ticket): Promise<string> {
      const { vouch } = ticket.identity;
      const credential = vouch && seal(vouch.credential.pack(), sealKey);
      return new SignJWT({ ...claimsOf(ticket, clock.now()), credential })
        .setProtectedHeader({ alg: 'HS256', typ: ticketType })
        .sign(key);
    },
    /** @throws ticket_expired when it expired or doesn't verify; unauthorized when the token behind it expired. */
    async verify(text: string): Promise<Ticket> {
      const nowMs = clock.now();
      const claims = await readClaims(text, key, nowMs);
      const ticket = ticketOf(claims);
      if (claims.credential !== undefined) {
        const credential = Credential.unpack(unseal(claims.credential, sealKey));
        // From the cache, or asked now: a credential that was refused since the ticket was issued opens nothing.
        return { ...ticket, identity: await vouchFor(credential, ticket.identity) };
      }
      if (claims.tokenExpMs <= nowMs) throw fail('unauthorized');
      return ticket;
    },
  };
}

async function readClaims(text: string, key: Uint8Array, nowMs: number): Promise<TicketClaims> {
  try {
    const options = { algorithms: ['HS256'], typ: ticketType, currentDate: new Date(nowMs) };
    const { payload } = await jwtVerify(text, key, options);
    return ticketClaimsSchema.parse(payload);
  } catch (cause) {
    throw fail('ticket_expired', undefined, { cause });
  }
}

function claimsOf({ identity, ...ticket }: Ticket, nowMs: number): TicketClaims {
  return {
    sub: identity.sub,
    org: identity.org,
    exp: Math.ceil((nowMs + limits.ticketMs) / 1000),
    tokenExpMs: identity.expiresAtMs,
    services: [...identity.reads.patterns],
    publish: [...identity.publishes.patterns],
    roles: [...identity.roles],
    orgs: [...identity.producerOrgs],
    session: ticket.session,
    supports: [...ticket.supports],
    assignment: ticket.assignment,
    override: ticket.override,
  };
}

function ticketOf(claims: TicketClaims): Ticket {
  const { session, supports, assignment, override, ...token } = claims;
  const identity = userIdentity({ ...token, expiresAtMs: token.tokenExpMs });
  return { identity, session, supports, assignment, override };
}

// A sealed credential is encrypted with a key that only the nodes have.
const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/** AES-256-GCM. @param key 32 bytes. @returns nonce, tag and cipher text, as base64url. */
function seal(text: string, key: Buffer): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url');
}

/** @throws where it was sealed with another key, or changed since. */
function unseal(sealed: string, key: Buffer): string {
  const bytes = Buffer.from(sealed, 'base64url');
  const nonce = bytes.subarray(0, nonceBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  const text = [decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()];
  return Buffer.concat(text).toString('utf8');
}
