/** Who may call the admin API, and with which role. A user's token without a role is nobody here. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { fail } from '../errors.ts';
import type { Authenticator, Identity } from '../auth/identity.ts';

const ranks = { viewer: 1, operator: 2, admin: 3 } as const;
export type AdminRole = keyof typeof ranks;

/** What a request carries once it was let in: `who` goes into the audit trail. */
export interface AdminEnv {
  Variables: { who: string };
}

export interface AdminAccess {
  readonly authenticator: Pick<Authenticator, 'verifyToken'>;
  /** TURNOUT_ADMIN_TOKEN; undefined: there is none. */
  readonly adminToken: string | undefined;
}

/** Lets in callers of that role or a higher one. @throws unauthorized, role_required */
export function requiring(role: AdminRole, access: AdminAccess): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    const caller = await identify(c, access);
    if (caller.rank < ranks[role]) throw fail('role_required', `this call needs the role ${role}`);
    c.set('who', caller.who);
    c.header('cache-control', 'no-store');
    await next();
  };
}

async function identify(c: Context, { authenticator, adminToken }: AdminAccess) {
  const bearer = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
  if (bearer !== undefined && adminToken !== undefined && isSame(bearer, adminToken))
    return { who: 'admin-token', rank: ranks.admin };
  const identity = await authenticator.verifyToken(bearer);
  return { who: `${identity.org}/${identity.sub}`, rank: rankOf(identity) };
}

function rankOf({ roles }: Identity): number {
  const held = (['viewer', 'operator', 'admin'] as const).filter((role) => roles.has(role));
  return Math.max(0, ...held.map((role) => ranks[role]));
}

/** In constant time: hashed first, because the comparison wants equal lengths and a length is a hint. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
