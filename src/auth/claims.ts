/** Where in a token, or in an answer about one, the user and the org stand. Pure. */
import { orgSchema, userSchema } from '../../schema/envelope.ts';

/** An org that is everybody's, or the place where it stands. */
export type OrgPlace = { readonly fixed: string } | { readonly path: string };

/**
 * The value at `sub`, `$.user.id`, `list[0].id`; undefined where nothing is. A name that stands there whole wins, dots and
 * all: issuers name claims `https://example.com/org`.
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

/** A user or org as text: many issuers number theirs. Undefined for anything else. */
export function nameOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' ? value : undefined;
}

/** Undefined where one of them is missing, or can't be a user's or an org's name (docs/PROTOCOL.md, 1). */
export function whoIn(
  value: unknown,
  userPath: string,
  orgPlace: OrgPlace,
): { readonly user: string; readonly org: string } | undefined {
  const user = userSchema.safeParse(nameOf(valueAt(value, userPath)));
  const org = orgSchema.safeParse(
    'fixed' in orgPlace ? orgPlace.fixed : nameOf(valueAt(value, orgPlace.path)),
  );
  return user.success && org.success ? { user: user.data, org: org.data } : undefined;
}
