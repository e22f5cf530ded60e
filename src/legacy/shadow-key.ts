/** What names an event inside an old answer: the place where the template writes the value that cursors are made of. Pure. */

/** The place in an event of the old API where `value` is written, `$.id`; undefined where the template leaves it out. */
export function keyPathOf(template: unknown, value: string, at = '$'): string | undefined {
  if (template === value) return at;
  if (typeof template !== 'object' || template === null) return undefined;
  for (const [name, inner] of Object.entries(template)) {
    const found = keyPathOf(inner, value, Array.isArray(template) ? `${at}[${name}]` : `${at}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A string or number at a place, as text. */
export function readPath(value: unknown, path: string): string | undefined {
  let here: unknown = value;
  for (const [, name, index] of path.matchAll(/\.([^.[]+)|\[(\d+)\]/g)) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Readonly<Record<string, unknown>>)[name ?? index ?? ''];
  }
  return typeof here === 'string' || typeof here === 'number' ? String(here) : undefined;
}
