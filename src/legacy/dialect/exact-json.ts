/** JSON read without altering its numbers: one that a double can't hold comes as text, so that an id stays itself. */
import { firstInexactNumber, numbersIn } from '../../log/exact-numbers.ts';

/** @throws SyntaxError */
export function parseExact(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  const exact = quoted(text, '');
  // In quotes what is no JSON could become some.
  return exact === text ? parsed : JSON.parse(exact);
}

/** The same JSON, for whoever compares: such a number is a text that begins with the mark, and no text is like it. */
export const markedJson = (text: string): string => quoted(text, String.raw`\u0000`);

/** What `markedJson` made of a number. */
export const isMarked = (value: unknown): boolean => typeof value === 'string' && value.startsWith('\0');

function quoted(text: string, mark: string): string {
  if (firstInexactNumber(text) === undefined) return text;
  const pieces: string[] = [];
  let done = 0;
  for (const { at, number } of numbersIn(text)) {
    if (isKept(number)) continue;
    pieces.push(text.slice(done, at), `"${mark}${number}"`);
    done = at + number.length;
  }
  return pieces.join('') + text.slice(done);
}

/** True for a number that is the same after it was read; many beyond 2^53 are. */
function isKept(token: string): boolean {
  const value = Number(token);
  return /^-?\d+$/.test(token) ? String(value) === token || token === '-0' : Number.isFinite(value);
}

/** What the text means as JSON; the text itself where it is none. */
export function parseWhereItParses(text: string): unknown {
  try {
    return parseExact(text);
  } catch {
    return text;
  }
}
