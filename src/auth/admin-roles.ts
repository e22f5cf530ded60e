/**
 * Which tokens may give the admin API's roles. An issuer that signs with a private key signs for other services too, and its
 * own `roles: ["admin"]` means nothing here: they count only where TURNOUT_CLAIM_GRANTS says that ours stand.
 */
import type { Role } from '../../schema/token.ts';
import type { Config } from '../config/config.ts';

type KeySettings = Pick<Config, 'TURNOUT_JWT_PUBLIC_KEY' | 'TURNOUT_JWKS_URL' | 'TURNOUT_CLAIM_GRANTS'>;

/** False where a public key verifies tokens and no setting says where Turnout's grants stand in them. */
function takesAdminRoles(config: KeySettings): boolean {
  const hasPublicKey = config.TURNOUT_JWT_PUBLIC_KEY !== undefined || config.TURNOUT_JWKS_URL !== undefined;
  return !hasPublicKey || config.TURNOUT_CLAIM_GRANTS !== undefined;
}

/** Returns the roles that count: without the admin API's, what publishes for backends. */
export const countedRoles = (roles: readonly Role[], config: KeySettings): readonly Role[] =>
  takesAdminRoles(config) ? roles : roles.filter((role) => role === 'producer');

/** Returns what an operator must know of it, for the log of a start and for `doctor`; undefined where roles count. */
export function adminRolesNote(config: KeySettings & Pick<Config, 'TURNOUT_ADMIN_TOKEN'>) {
  if (takesAdminRoles(config)) return undefined;
  const isOpen = config.TURNOUT_ADMIN_TOKEN !== undefined;
  const message = 'tokens give no role viewer, operator or admin: TURNOUT_CLAIM_GRANTS is not set';
  const rest = isOpen ? 'TURNOUT_ADMIN_TOKEN alone opens the admin API' : 'nobody can use the admin API';
  return {
    level: isOpen ? 'info' : 'warn',
    message: `${message}; ${rest}`,
    next: "set TURNOUT_CLAIM_GRANTS to the claim that holds Turnout's roles (docs/guides/identity.md)",
  } as const;
}
