/** Which methods a path takes, so that a wrong one is told from a path where nothing is. */

/** Methods of the routes whose pattern fits `path`, sorted; middleware, which takes all methods, doesn't count. */
export function allowedMethods(
  routes: readonly { readonly method: string; readonly path: string }[],
  path: string,
): string[] {
  const methods = new Set<string>();
  for (const { method, path: pattern } of routes)
    if (method !== 'ALL' && fits(pattern, path)) methods.add(method);
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods].toSorted();
}

/** Segments are literal, `:name` (any one) or `:name{…}` (any one, as far as this question goes). */
function fits(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  return (
    wanted.length === given.length &&
    wanted.every(
      (segment, place) => segment === given[place] || (segment.startsWith(':') && given[place] !== ''),
    )
  );
}
