/**
 * How the upstream is asked where Turnout leaves a poll to it: without Turnout's own cursor, which clients of an opaque
 * format carry (the upstream can't read it, and might hold its client for ever at a place that it makes of it), and with
 * what is left of the wait where Turnout has held the poll: its client waits no longer than it asked for.
 */
import type { Profile } from '../../../schema/profile.ts';
import { decodeCursor, type Position } from '../../log/cursor.ts';
import type { RequestField } from '../dialect/dialect.ts';
import { unitMs } from '../dialect/request-reading.ts';

/** What the upstream is asked in a request's place. */
export interface UpstreamRewrite {
  readonly url: string;
  /** Headers that are left out; lower case. */
  readonly without: ReadonlySet<string>;
  /** In their place: name, value. */
  readonly added: readonly string[];
  /** Undefined: the request's own. */
  readonly body: Buffer | undefined;
}

/** Undefined: the upstream's own. */
export function ownCursor(text: string): Position | undefined {
  try {
    return decodeCursor(text);
  } catch {
    return undefined;
  }
}

/** The request as it came. */
export const unchanged = (url: string): UpstreamRewrite => ({
  url,
  without: new Set(),
  added: [],
  body: undefined,
});

/** The request as of a client that is new. @param body parsed; undefined where the cursor is elsewhere */
export const withoutCursor = (cursor: RequestField, url: string, body: unknown): UpstreamRewrite =>
  withField(unchanged(url), cursor, undefined, body);

/**
 * The same with another wait, in whole units: none is less than what is left.
 * @param before what is asked already in the request's place
 * @param body of the request, parsed
 */
export function withWait(
  wait: RequestField & Pick<NonNullable<Profile['request']['wait']>, 'unit'>,
  leftMs: number,
  before: UpstreamRewrite,
  body: unknown,
): UpstreamRewrite {
  return withField(before, wait, Math.ceil(leftMs / unitMs(wait)), body);
}

/** @param value undefined: takes the field out */
function withField(
  before: UpstreamRewrite,
  { in: where, name }: RequestField,
  value: number | undefined,
  body: unknown,
): UpstreamRewrite {
  const { url, without, added } = before;
  switch (where) {
    case 'query': {
      const rest = withoutParameter(url, name);
      if (value === undefined) return { ...before, url: rest };
      return { ...before, url: `${rest}${rest.includes('?') ? '&' : '?'}${name}=${value}` };
    }
    case 'header':
      return {
        ...before,
        without: new Set([...without, name.toLowerCase()]),
        added: value === undefined ? added : [...added, name, String(value)],
      };
    case 'body': {
      const asked: unknown = before.body === undefined ? body : JSON.parse(before.body.toString('utf8'));
      if (typeof asked !== 'object' || asked === null) return before;
      return {
        ...before,
        // The new body's length is another; it is counted where it is sent.
        without: new Set([...without, 'content-length']),
        // JSON leaves out what is undefined.
        body: Buffer.from(JSON.stringify({ ...asked, [name]: value })),
      };
    }
  }
}

/** All else of the query stays as it was written. */
function withoutParameter(url: string, name: string): string {
  const mark = url.indexOf('?');
  if (mark < 0) return url;
  const parts = url
    .slice(mark + 1)
    .split('&')
    .filter((part) => ![...new URLSearchParams(part).keys()].includes(name));
  return parts.length === 0 ? url.slice(0, mark) : `${url.slice(0, mark)}?${parts.join('&')}`;
}
