/**
 * Who changes the rules. The name of a token's holder is `org/sub`, with a slash; no other author's name has one, so that
 * no token can be made that signs like them. What isn't a name's own slash in either part is written `%2F`.
 */
import type { AuditEntry } from '../../../schema/audit.ts';

/** Whom the audit trail names, and as what. */
export interface Signature {
  readonly by: NonNullable<AuditEntry['by']>;
  readonly who: string;
}

export interface Author extends Signature {
  readonly reason: string;
}

const part = (name: string): string => name.replaceAll('%', '%25').replaceAll('/', '%2F');

export const tokenHolder = ({ org, sub }: { readonly org: string; readonly sub: string }): Signature => ({
  by: 'token',
  who: `${part(org)}/${part(sub)}`,
});

/** Whoever has TURNOUT_ADMIN_TOKEN. */
export const adminTokenHolder: Signature = { by: 'admin-token', who: 'admin-token' };

/** Whoever called `turnout kill --local` on the node's machine. */
export const localCaller = (nodeId: string): Signature => ({ by: 'local', who: `local:${part(nodeId)}` });

const environment: Signature = { by: 'environment', who: 'environment' };

/** The author of what a node writes when it starts. */
export const byEnvironment: Author = { ...environment, reason: 'start' };

export const byRestore: Author = {
  ...environment,
  reason: 'a start had overwritten what an operator wrote',
};
