/**
 * Numbers that JSON allows and a double can't hold. Reading and writing them would alter a payload in silence, so whoever
 * publishes one is told; sent as a string it is kept.
 */

// Long enough to be too large, or with an exponent: anything else is exact and not looked at closer.
const suspicious = /\d{16}|\d[eE]/;
/** Each string and each number of a JSON text; strings, so that digits inside one are passed over. */
export const stringsAndNumbers = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** The first number of `json` that is an integer beyond 2^53 or beyond a double's range; undefined where all are kept. */
export function firstInexactNumber(json: string): string | undefined {
  if (!suspicious.test(json)) return undefined;
  for (const [token] of json.matchAll(stringsAndNumbers)) {
    if (token.startsWith('"') || token.length < 4) continue;
    const value = Number(token);
    const isInexact = !Number.isFinite(value) || (/^-?\d+$/.test(token) && !Number.isSafeInteger(value));
    if (isInexact) return token.slice(0, 40);
  }
  return undefined;
}

/** What whoever publishes such a number is told. */
export const inexactMessage = (number: string): string =>
  `the number ${number} cannot be kept exactly; send it as a string`;
