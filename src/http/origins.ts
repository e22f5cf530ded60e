/** Which browser pages may come from another origin: the same answer for CORS and for upgrades. */

/**
 * Whether a page of `origin` may open streams on `host`. Same origin always may; `null` (a sandboxed page, a file) only
 * where all may.
 * @param allowed origins such as `https://app.example.com`, or `*`
 */
export function originPolicy(
  allowed: readonly string[],
): (origin: string, host: string | undefined) => boolean {
  const known = new Set(allowed.map((origin) => origin.toLowerCase()));
  return (origin, host) =>
    known.has('*') || known.has(origin.toLowerCase()) || (host !== undefined && isSameHost(origin, host));
}

function isSameHost(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
