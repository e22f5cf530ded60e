/**
 * Numbers that JSON allows and a double can't hold. Reading and writing them would alter a payload in silence, so whoever
 * publishes one is told; sent as a string it is kept.
 */
import { endOfString } from '../json.ts';

// Long enough to be too large, or with an exponent: anything else is exact and not looked at closer.
const suspicious = /\d{16}|\d[eE]/;
const numberForm = /-?\d[\d.eE+-]*/y;
const [quote, minus, zero, nine] = [0x22, 0x2d, 0x30, 0x39];

/**
 * Yields each number of a JSON text and where it begins; digits in a string are passed over. No regular expression may
 * match a string: one of some MiB overflows its stack.
 */
export function* numbersIn(json: string): Generator<{ readonly at: number; readonly number: string }> {
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === quote) at = endOfString(json, at);
    else if (code === minus || (code >= zero && code <= nine)) {
      numberForm.lastIndex = at;
      const number = numberForm.exec(json)?.[0];
      if (number === undefined) continue;
      yield { at, number };
      at += number.length - 1;
    }
  }
}

/** The first number of `json` that is an integer beyond 2^53 or beyond a double's range; undefined where all are kept. */
export function firstInexactNumber(json: string): string | undefined {
  if (!suspicious.test(json)) return undefined;
  for (const { number } of numbersIn(json)) {
    if (number.length < 4) continue;
    const value = Number(number);
    const isInexact = !Number.isFinite(value) || (/^-?\d+$/.test(number) && !Number.isSafeInteger(value));
    if (isInexact) return number.slice(0, 40);
  }
  return undefined;
}

/** What whoever publishes such a number is told. */
export const inexactMessage = (number: string): string =>
  `the number ${number} cannot be kept exactly; send it as a string`;
