/** Cursors of a legacy API: which text is one, which of two is earlier, and how they stand on the wire. */
import type { Profile } from '../../../schema/profile.ts';

export interface CursorFormat {
  /** The value in its one spelling; undefined where the text is no such cursor. */
  readonly canonical: (text: string) => string | undefined;
  /** Negative where `a` is earlier; undefined where the format has no order, or one of them is no such cursor. */
  compare(a: string, b: string): number | undefined;
  /** True where JSON writes this value as a number. */
  isNumber(value: string): boolean;
}

/** Long enough for any id or cursor in the field, short enough for a header. */
const textChars = 1024;

const unordered: CursorFormat = {
  canonical: (text) => (text.length <= textChars && /^[^\p{Cc}]+$/u.test(text) ? text : undefined),
  compare: (a, b) => (a === b ? 0 : undefined),
  isNumber: () => false,
};

/** @param compare of two values in their one spelling */
const ordered = (
  canonical: CursorFormat['canonical'],
  compare: (a: string, b: string) => number,
  isNumber: CursorFormat['isNumber'] = () => false,
): CursorFormat => ({
  canonical,
  compare(a, b) {
    const [one, other] = [canonical(a), canonical(b)];
    return one === undefined || other === undefined ? undefined : compare(one, other);
  },
  isNumber,
});

export const cursorFormats: Readonly<Record<Profile['request']['cursor']['format'], CursorFormat>> = {
  integer: ordered(canonicalInteger, byNumber, () => true),
  timestamp: ordered(
    (text) => canonicalDecimal(text) ?? canonicalInstant(text),
    compareInstants,
    // Nanoseconds as a fraction are more digits than a double holds: those stay text.
    (value) => decimal.test(value) && (!value.includes('.') || String(Number(value)) === value),
  ),
  'stream-id': ordered((text) => (/^\d{1,20}(-\d{1,20})?$/.test(text) ? text : undefined), compareStreamIds),
  string: unordered,
  opaque: unordered,
};

function canonicalInteger(text: string): string | undefined {
  const parts = /^(-?)0*(\d{1,39})$/.exec(text);
  if (parts === null) return undefined;
  const [, sign = '', digits = ''] = parts;
  return digits === '0' ? digits : sign + digits;
}

/** Of any size: no double holds an id of twenty digits. */
function byNumber(a: string, b: string): number {
  return order(BigInt(a), BigInt(b));
}

const order = (a: bigint, b: bigint): number => (a < b ? -1 : Number(a > b));

function compareStreamIds(a: string, b: string): number {
  const [aMs = '', aSeq = '0'] = a.split('-');
  const [bMs = '', bSeq = '0'] = b.split('-');
  return byNumber(aMs, bMs) || byNumber(aSeq, bSeq);
}

const decimal = /^-?(0|[1-9]\d{0,19})(\.\d{0,8}[1-9])?$/;

/** Epoch numbers, whole or with decimals. */
function canonicalDecimal(text: string): string | undefined {
  const parts = /^(-?)0*(\d{1,20})(?:\.(\d{1,9}))?$/.exec(text);
  if (parts === null) return undefined;
  const [, sign = '', whole = '', rest = ''] = parts;
  const fraction = rest.replace(/0+$/, '');
  const value = fraction === '' ? whole : `${whole}.${fraction}`;
  return value === '0' ? value : sign + value;
}

const instant =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?)?(?:(Z)|([+-]\d\d):?(\d\d)?)?$/i;

function canonicalInstant(text: string): string | undefined {
  // A `+` that nobody encoded arrives from a query as a space.
  const repaired = text.replace(/(:\d\d(?:[.,]\d+)?) (\d\d:?\d\d)$/, '$1+$2');
  return nanosOf(repaired) === undefined ? undefined : repaired;
}

/** An ISO 8601 text as nanoseconds; a time that names no zone is UTC. */
function nanosOf(text: string): bigint | undefined {
  const parts = instant.exec(text);
  if (parts === null) return undefined;
  const [, date = '', time = '00:00', seconds = ':00', fraction = '', , hours, minutes = '00'] = parts;
  const zone = hours === undefined ? 'Z' : `${hours}:${minutes}`;
  const ms = Date.parse(`${date}T${time}${seconds}${zone}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

function compareInstants(a: string, b: string): number {
  const [aIsNumber, bIsNumber] = [decimal.test(a), decimal.test(b)];
  // Two numbers of one API have one unit, whichever it is.
  if (aIsNumber && bIsNumber) return order(scaled(a), scaled(b));
  return order(nanosOf(a) ?? nanosOfNumber(a), nanosOf(b) ?? nanosOfNumber(b));
}

function scaled(value: string): bigint {
  const [whole = '0', fraction = ''] = value.split('.');
  const digits = BigInt(whole.replace('-', '') + fraction.padEnd(9, '0'));
  return value.startsWith('-') ? -digits : digits;
}

/** A number beside an ISO text (`since=0` where the rest is ISO): seconds, ms or µs by how long it is. */
function nanosOfNumber(value: string): bigint {
  const { length } = value.replace('-', '').split('.')[0] ?? '';
  if (length <= 11) return scaled(value);
  if (length <= 14) return scaled(value) / 1000n;
  return length <= 17 ? scaled(value) / 1_000_000n : scaled(value) / 1_000_000_000n;
}

export type CursorWire = ReturnType<typeof cursorWire>;

/** A cursor as it stands on the wire: its value in the profile's wrapping. */
export function cursorWire({ format, wrap }: Profile['request']['cursor']) {
  const rules = cursorFormats[format];
  const [before, after] = splitOnce(wrap, '{}');
  const isBare = before === '' && after === '';
  const wrapped = (value: string): string => before + value + after;
  return {
    ...rules,
    /** The value as a text of the wire. */
    wrapped,
    /** The value in a text of the wire; undefined where it is no such cursor. A text without the wrapping is taken as it is. */
    unwrapped(text: string): string | undefined {
      // What compresses on the way makes an ETag a weak one.
      const strong = before.startsWith('"') ? text.trim().replace(/^W\//, '') : text;
      return rules.canonical(between(strong, before, after) ?? strong);
    },
    /** The value as JSON of the wire. */
    json: (value: string): string =>
      isBare && rules.isNumber(value) ? value : JSON.stringify(wrapped(value)),
  };
}

/** Returns what stands between the two; undefined where the text doesn't begin and end with them. */
export function between(text: string, before: string, after: string): string | undefined {
  const isSo = text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
  return isSo ? text.slice(before.length, text.length - after.length) : undefined;
}

/** `$$cursor` is a text that only looks like a place. */
export const holdsCursor = (text: string): boolean => text.includes('$cursor') && !text.startsWith('$$');

/** A string of an answer's template that the cursor stands in: `$cursor:text` by itself, or anywhere inside. */
export function cursorText(text: unknown, wire: CursorWire) {
  if (typeof text !== 'string' || !holdsCursor(text)) return undefined;
  const [before, after] = splitOnce(text === '$cursor:text' ? '$cursor' : text, '$cursor');
  return {
    write: (cursor: string): string => before + wire.wrapped(cursor) + after,
    read: (given: string): string | undefined => {
      const inner = between(given, before, after);
      return inner === undefined ? undefined : wire.unwrapped(inner);
    },
  };
}

/** Returns the text before and after the first `mark`. */
export function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + mark.length)];
}
