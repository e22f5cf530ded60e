/**
 * JSON from outside: bounded before it is parsed, and read without throwing where that is asked. What it must hold is the
 * caller's to check.
 */
import { limits } from '../schema/codes.ts';

/** JSON that is nested too deep, or has too many parts; nothing of it was built. */
export class JsonBoundsError extends Error {
  override readonly name = 'JsonBoundsError';
}

const [quote, backslash, colon] = [0x22, 0x5c, 0x3a];
const [openList, openObject, closeList, closeObject] = [0x5b, 0x7b, 0x5d, 0x7d];

/** Returns the place of the quotation mark that ends the JSON string which begins at `from`; the text's length where none does. */
export function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (text.charCodeAt(before - 1) === backslash) before -= 1;
    // Pairs of backslashes are backslashes; one left over escapes the mark.
    if ((at - before) % 2 === 0) return at;
  }
  return text.length;
}

/** Returns how deep lists and objects are nested in a JSON text, and counts its parts: keys, lists and objects; no further than past the bounds. */
export function jsonSize(text: string): { readonly depth: number; readonly parts: number } {
  let [depth, deepest, parts] = [0, 0, 0];
  for (let at = 0; at < text.length && deepest <= limits.jsonDepth && parts <= limits.jsonParts; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) at = endOfString(text, at);
    else if (code === openList || code === openObject) {
      depth += 1;
      parts += 1;
      deepest = Math.max(deepest, depth);
    } else if (code === closeList || code === closeObject) depth -= 1;
    else if (code === colon) parts += 1;
  }
  return { depth: deepest, parts };
}

/**
 * Returns the text, for a parser, where it keeps the bounds. A parser that is given more stops the node for as long as it
 * works, and whatever walks the value after it overflows its stack. @throws JsonBoundsError
 */
export function withinBounds(text: string): string {
  const { depth, parts } = jsonSize(text);
  if (depth > limits.jsonDepth)
    throw new JsonBoundsError(`JSON is nested deeper than ${limits.jsonDepth} levels`);
  if (parts > limits.jsonParts)
    throw new JsonBoundsError(`JSON has more than ${limits.jsonParts} keys, lists and objects`);
  return text;
}

/**
 * Returns the value of a JSON text; undefined where the text is no JSON.
 * @param parse reads it where JSON.parse would lose something
 */
export function jsonIn(text: string, parse: (text: string) => unknown = JSON.parse): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** True for a JSON object: not for null, nor for a list. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
