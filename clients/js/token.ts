/** The application's tokens, as far as the client looks into them: when they end. */

/** Asked before every connection, and before the token of an open stream ends. */
export type TokenSource = () => string | Promise<string>;

/** Unix time in milliseconds at which a JWT ends; undefined for a token that doesn't say. Nothing is verified. */
export function expiryMs(token: string): number | undefined {
  const [, payload] = token.split('.');
  if (payload === undefined) return undefined;
  try {
    // Read as Latin-1, which garbles names and leaves the number.
    const claims: unknown = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')));
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined;
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    // Another kind of token: the gateway says when it ends.
    return undefined;
  }
}

/** Empty for an empty token: the browser sends the page's own cookie, which a token would put aside. */
export const authorizationOf = (token: string): { readonly authorization?: string } =>
  token === '' ? {} : { authorization: `Bearer ${token}` };
