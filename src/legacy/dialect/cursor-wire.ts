/** A cursor as it stands on the wire: its value in the profile's wrapping, and out of it again. */
import type { Profile } from '../../../schema/profile.ts';
import { type CursorFormat, cursorFormats } from './cursor-format.ts';

export interface CursorWire extends CursorFormat {
  /** The value as a text of the wire. */
  wrapped(value: string): string;
  /** The value in a text of the wire; undefined where it is no such cursor. A text without the wrapping is taken as it is. */
  unwrapped(text: string): string | undefined;
  /** The value as JSON of the wire. */
  json(value: string): string;
}

export function cursorWire({ format, wrap }: Profile['request']['cursor']): CursorWire {
  const rules = cursorFormats[format];
  const [before, after] = splitOnce(wrap, '{}');
  const isBare = before === '' && after === '';
  const wrapped = (value: string): string => before + value + after;
  return {
    ...rules,
    wrapped,
    unwrapped(text) {
      // What compresses on the way makes an ETag a weak one.
      const strong = before.startsWith('"') ? text.trim().replace(/^W\//, '') : text;
      return rules.canonical(between(strong, before, after) ?? strong);
    },
    json: (value) => (isBare && rules.isNumber(value) ? value : JSON.stringify(wrapped(value))),
  };
}

/** What stands between the two; undefined where the text doesn't begin and end with them. */
export function between(text: string, before: string, after: string): string | undefined {
  const isSo = text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
  return isSo ? text.slice(before.length, text.length - after.length) : undefined;
}

/** The text before and after the first `mark`. */
export function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + mark.length)];
}
