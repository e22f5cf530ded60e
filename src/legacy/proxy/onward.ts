/**
 * A poll that the old backend is to answer after all, as it is asked there. Without Turnout's own cursor, which clients of an
 * opaque format carry: that backend can't read it, and might hold its client for ever at a place that it makes of it. With
 * what is left of its wait where Turnout has held it: its client waits no longer than it asked for.
 */
import type { Profile } from '../../../schema/profile.ts';
import { decodeCursor, type Position } from '../../log/cursor.ts';

type Wait = NonNullable<Profile['request']['wait']>;

/** What is asked of the old backend in a request's place. */
export interface Onward {
  readonly url: string;
  /** Headers that are left out; lower case. */
  readonly without: ReadonlySet<string>;
  /** In their place: name, value. */
  readonly added: readonly string[];
  /** Undefined: the request's own. */
  readonly body: Buffer | undefined;
}

/** Undefined: the old backend's own. */
export function ownCursor(text: string): Position | undefined {
  try {
    return decodeCursor(text);
  } catch {
    return undefined;
  }
}

/** The request as it came. */
export const unchanged = (url: string): Onward => ({
  url,
  without: new Set(),
  added: [],
  body: undefined,
});

/** The request as of a client that is new. @param body parsed; undefined where the cursor is elsewhere */
export function withoutCursor(
  { in: where, name }: Pick<Profile['request']['cursor'], 'in' | 'name'>,
  url: string,
  body: unknown,
): Onward {
  const onward = unchanged(url);
  switch (where) {
    case 'query':
      return { ...onward, url: withoutParameter(url, name) };
    case 'header':
      return { ...onward, without: new Set([name.toLowerCase()]) };
    case 'body': {
      if (typeof body !== 'object' || body === null) return onward;
      const rest = Object.entries(body).filter(([field]) => field !== name);
      return { ...onward, ...bodyOf(Object.fromEntries(rest)) };
    }
  }
}

/**
 * The same with another wait, in whole units: none is less than what is left.
 * @param before what is asked already in the request's place
 * @param body of the request, parsed
 */
export function withWait(
  { in: where, name, unit }: Pick<Wait, 'in' | 'name' | 'unit'>,
  leftMs: number,
  before: Onward,
  body: unknown,
): Onward {
  const { url, without, added } = before;
  const value = Math.ceil(unit === 's' ? leftMs / 1000 : leftMs);
  switch (where) {
    case 'query': {
      const rest = withoutParameter(url, name);
      return { ...before, url: `${rest}${rest.includes('?') ? '&' : '?'}${name}=${value}` };
    }
    case 'header':
      return {
        ...before,
        without: new Set([...without, name.toLowerCase()]),
        added: [...added, name, String(value)],
      };
    case 'body': {
      const asked: unknown = before.body === undefined ? body : JSON.parse(before.body.toString('utf8'));
      if (typeof asked !== 'object' || asked === null) return before;
      return { ...before, ...bodyOf({ ...asked, [name]: value }) };
    }
  }
}

/** Its length is another; who sends it counts anew. */
const bodyOf = (json: object): Pick<Onward, 'without' | 'body'> => ({
  without: new Set(['content-length']),
  body: Buffer.from(JSON.stringify(json)),
});

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
