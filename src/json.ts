/** JSON from outside, read without throwing. What it must hold is the caller's to check. */

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
