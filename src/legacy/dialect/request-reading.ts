/** An old client's request, read by the profile, and the request that such a client would send. */
import { limits } from '../../../schema/codes.ts';
import type { Profile } from '../../../schema/profile.ts';
import type { CursorWire } from './cursor.ts';
import {
  type Dialect,
  type LegacyAsk,
  type LegacyRequest,
  LegacyRequestError,
  type RequestField,
} from './dialect.ts';
import { memberOf } from './json-path.ts';

type Wait = NonNullable<Profile['request']['wait']>;
type Limit = NonNullable<Profile['request']['limit']>;

/** How many milliseconds one of a wait's units has. */
export const unitMs = ({ unit }: Pick<Wait, 'unit'>): number => (unit === 's' ? 1000 : 1);

export function compileAsk({ request }: Profile, wire: CursorWire): (request: LegacyRequest) => LegacyAsk {
  const { cursor, wait, limit } = request;
  return (given) => ({
    cursor: readCursor(textAt(given, cursor), cursor, wire),
    waitMs: wait === undefined ? limits.pollWaitDefaultS * 1000 : readWaitMs(textAt(given, wait), wait),
    limit: limit === undefined ? limits.pollEventsDefault : readLimit(textAt(given, limit), limit),
  });
}

function readCursor(text: string | undefined, place: RequestField, wire: CursorWire): string | undefined {
  // `If-None-Match: *` asks for whatever there is.
  if (text === undefined || (place.in === 'header' && text === '*')) return undefined;
  const value = wire.unwrapped(text);
  if (value === undefined) throw new LegacyRequestError(`${place.name} is not a cursor of this API`);
  return value;
}

function readWaitMs(text: string | undefined, wait: Wait): number {
  if (text !== undefined && !/^\d{1,12}(\.\d{1,6})?$/.test(text))
    throw new LegacyRequestError(`${wait.name} is not a span of time`);
  const span = text === undefined ? wait.default : Number(text);
  return Math.round(Math.min(span, wait.max) * unitMs(wait));
}

function readLimit(text: string | undefined, limit: Limit): number {
  if (text === undefined) return limit.default;
  if (!/^0*[1-9]\d{0,9}$/.test(text))
    throw new LegacyRequestError(`${limit.name} is not a whole number from 1 on`);
  return Math.min(Number(text), limit.max);
}

/** The text at that place, as it stands there; an empty one counts as absent. @throws LegacyRequestError for what is no text or number */
function textAt(request: LegacyRequest, place: RequestField): string | undefined {
  const value = valueAt(request, place);
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  throw new LegacyRequestError(`${place.name} is not a text or a number`);
}

function valueAt({ query, headers, body }: LegacyRequest, { in: where, name }: RequestField): unknown {
  switch (where) {
    case 'query': {
      const [first, ...others] = query.getAll(name);
      // Some backends take the first, some the last, some all of them.
      if (others.length > 0) throw new LegacyRequestError(`${name} stands there more than once`);
      return first;
    }
    case 'header':
      return headers[name.toLowerCase()]?.trim();
    case 'body':
      return memberOf(body, name);
  }
}

/** What asks the old API for what follows a cursor. */
export function compileQuery(
  { match, request: { cursor, wait } }: Profile,
  wire: CursorWire,
): Dialect['query'] {
  return (value, waitMs) => {
    const query = new URLSearchParams();
    const headers: Record<string, string> = {};
    const fields: string[] = [];
    const put = (place: RequestField, text: string, json: string): void => {
      if (place.in === 'query') query.set(place.name, text);
      else if (place.in === 'header') headers[place.name.toLowerCase()] = text;
      else fields.push(`${JSON.stringify(place.name)}:${json}`);
    };
    if (value !== undefined) put(cursor, wire.wrapped(value), wire.json(value));
    if (wait !== undefined) {
      // Whole: few old APIs read fractions.
      const span = String(Math.min(Math.ceil(waitMs / unitMs(wait)), wait.max));
      put(wait, span, span);
    }
    const hasBody = match.method === 'POST' && (cursor.in === 'body' || wait?.in === 'body');
    return {
      search: query.size === 0 ? '' : `?${query.toString()}`,
      headers: hasBody ? { ...headers, 'content-type': 'application/json' } : headers,
      body: hasBody ? `{${fields.join(',')}}` : undefined,
    };
  };
}
