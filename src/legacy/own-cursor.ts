/**
 * Turnout's own cursor, as old clients of an opaque format carry it. A poll that the old backend is to answer after all goes
 * there without it: that backend can't read it, and might hold its client for ever at a place that it makes of it.
 */
import type { Profile } from '../../schema/profile.ts';
import { decodeCursor, type Position } from '../log/cursor.ts';

/** What is asked of the old backend in a request's place. */
export interface Onward {
  readonly url: string;
  /** Headers that are left out; lower case. */
  readonly without: ReadonlySet<string>;
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

/** The request as of a client that is new. @param body parsed; undefined where the cursor is elsewhere */
export function withoutCursor(
  { in: where, name }: Pick<Profile['request']['cursor'], 'in' | 'name'>,
  url: string,
  body: unknown,
): Onward {
  const onward: Onward = { url, without: new Set(), body: undefined };
  switch (where) {
    case 'query':
      return { ...onward, url: withoutParameter(url, name) };
    case 'header':
      return { ...onward, without: new Set([name.toLowerCase()]) };
    case 'body': {
      if (typeof body !== 'object' || body === null) return onward;
      const rest = Object.entries(body).filter(([field]) => field !== name);
      const text = JSON.stringify(Object.fromEntries(rest));
      // Its length is another; who sends it counts anew.
      return { ...onward, without: new Set(['content-length']), body: Buffer.from(text) };
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
