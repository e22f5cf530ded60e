/**
 * Who may call the admin API: roles, the admin token, and how much one author may change. A user's token without a role is
 * nobody here.
 */
import type { Context, MiddlewareHandler } from 'hono';
import type { TokenBuckets } from '../async/token-buckets.ts';
import type { Authenticator } from '../auth/identity.ts';
import { isSameSecret } from '../auth/own-secrets.ts';
import { fail } from '../errors.ts';
import { adminTokenHolder, type Signature, tokenHolder } from '../rollout/rules/author.ts';

/** A producer's role lets it call nothing here. */
const ranks = { producer: 0, viewer: 1, operator: 2, admin: 3 } as const;
export type AdminRole = keyof typeof ranks;

/** What a request carries once it was let in: the audit trail names its author. */
export type AdminEnv = { Variables: { author: Signature } };

export interface CallerDeps {
  readonly authenticator: Pick<Authenticator, 'verifyToken'>;
  /** TURNOUT_ADMIN_TOKEN; undefined: there is none. */
  readonly adminToken: string | undefined;
  /** How many changes an author makes; absent: any. */
  readonly changes?: Pick<TokenBuckets, 'take'>;
}

/** Lets in callers of that role or a higher one. @throws unauthorized, role_required */
export function requiring(role: AdminRole, deps: CallerDeps): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    const caller = await identify(c, deps);
    if (caller.rank < ranks[role]) throw fail('role_required', `this call needs the role ${role}`);
    c.set('author', caller.author);
    await next();
  };
}

/** Lets in so many changes of one author. @throws rate_limited */
export function withinRate({ changes }: CallerDeps): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    const { who } = c.get('author');
    const retryAfterS = changes?.take(who) ?? 0;
    if (retryAfterS > 0)
      throw fail('rate_limited', `${who} makes too many changes; the next may come in ${retryAfterS} s`, {
        retryAfterS,
      });
    await next();
  };
}

async function identify(c: Context, { authenticator, adminToken }: CallerDeps) {
  const bearer = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
  if (bearer !== undefined && adminToken !== undefined && isSameSecret(bearer, adminToken))
    return { author: adminTokenHolder, rank: ranks.admin };
  const identity = await authenticator.verifyToken(bearer);
  const rank = Math.max(0, ...[...identity.roles].map((role) => ranks[role]));
  return { author: tokenHolder(identity), rank };
}

// Hashed first, because the comparison in constant time wants equal lengths, and a length is a hint.
