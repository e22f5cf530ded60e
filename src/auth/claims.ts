/** Finds the user and the org in a token, or in an auth server's answer. Pure. */
import { orgSchema, userSchema } from '../../schema/envelope.ts';

/** One org for every user, or the path to it. */
export type OrgPlace = { readonly fixed: string } | { readonly path: string };

/**
 * Returns the value at `sub`, `$.user.id`, `list[0].id`; undefined where there is none. A field whose name is the whole path
 * wins, dots included: issuers name claims `https://example.com/org`.
 */
export function valueAt(value: unknown, path: string): unknown {
  const whole = own(value, path);
  if (whole !== undefined) return whole;
  const steps = path.replace(/^\$\.?/, '').match(/[^.[\]]+/g) ?? [];
  return steps.reduce<unknown>((at, step) => own(at, step), value);
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

/** Returns a user or org as text, since many issuers number theirs; undefined for any other type. */
export function nameOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' ? value : undefined;
}

/** Returns the org as text; undefined where none stands there. */
export const orgIn = (value: unknown, place: OrgPlace): string | undefined =>
  'fixed' in place ? place.fixed : nameOf(valueAt(value, place.path));

/** Returns user and org; undefined where one is missing or is no valid name (docs/PROTOCOL.md, 1). */
export function whoIn(value: unknown, userPath: string, orgPlace: OrgPlace) {
  const user = userSchema.safeParse(nameOf(valueAt(value, userPath)));
  const org = orgSchema.safeParse(orgIn(value, orgPlace));
  return user.success && org.success ? { user: user.data, org: org.data } : undefined;
}
