/** The parts of a proposed profile, from what was found in an old API's answers. */
import { pathOf } from '../../legacy/dialect/json-path.ts';
import type { Template } from '../../legacy/dialect/template.ts';
import { type Found, placeOf, type QueryNames, templateOf } from './detect.ts';
import { bodyOf, type OldAnswer, type OldApi } from './old-api.ts';

export function answerOf(answer: OldAnswer, { list, place, word, cursor }: Found): object {
  const words = new Map<string, string>();
  if (list !== undefined) words.set(placeOf(list), '$events');
  if (place !== undefined) words.set(placeOf(place), word);
  const hasTag = cursor.in === 'header' && answer.headers['etag'] !== undefined;
  return {
    status: answer.status,
    ...(hasTag && { headers: { ETag: '$cursor' } }),
    ...(answer.body !== undefined && { body: templateOf(bodyOf(answer), words) }),
  };
}

export function requestOf(
  { url }: OldApi,
  { wait, limit }: QueryNames,
  found: Found,
  notes: string[],
): object {
  const { wrap, ...place } = found.cursor;
  const { cursor } = found.fields;
  const value = isWhole(found) && cursor !== undefined ? pathOf(['payload', cursor]) : undefined;
  const given = Number(url.searchParams.get(wait ?? '') ?? Number.NaN);
  // Nobody holds a poll for minutes.
  const unit = given > 120 ? 'ms' : 's';
  const most = unit === 'ms' ? 60_000 : 60;
  if (wait !== undefined)
    notes.push(`request.wait: ${wait} counts ${unit}, so it seems; what holds without it is a guess`);
  if (limit !== undefined)
    notes.push(`request.limit: what holds without ${limit}, and its most, are guesses`);
  return {
    cursor: {
      ...place,
      format: found.format,
      ...(value !== undefined && { value }),
      ...(wrap !== '{}' && { wrap }),
    },
    ...(wait !== undefined && {
      wait: { in: 'query', name: wait, unit, default: Math.min(given || most / 2, most), max: most },
    }),
    ...(limit !== undefined && { limit: { in: 'query', name: limit, default: 100, max: 1000 } }),
    services: { fixed: ['updates'] },
  };
}

/** A long one comes as text: no double holds it. */
const isNumber = (value: unknown): boolean =>
  typeof value === 'number' || (typeof value === 'string' && /^-?\d{16,}$/.test(value));

/** True where an item has more than an id, a type and a payload: it goes through as it is. */
function isWhole({ items, fields: { id, type, payload } }: Found): boolean {
  const item = items.at(-1);
  if (payload === undefined || id === undefined || typeof item !== 'object' || item === null) return true;
  return Object.keys(item).some((name) => ![id, type, payload].includes(name));
}

export function eventOf(found: Found): Template {
  const { id, type, payload } = found.fields;
  if (isWhole(found) || id === undefined || payload === undefined) return '$.payload';
  const item = found.items.at(-1) as Record<string, unknown>;
  const places: Record<string, string> = {
    [id]: isNumber(item[id]) ? '$.id:number' : '$.id',
    [payload]: '$.payload',
    ...(type !== undefined && { [type]: '$.type' }),
  };
  // In the order of the old answer.
  return Object.fromEntries(Object.keys(item).map((name) => [name, places[name] ?? '$.payload']));
}

export function sourceOf({ headers }: OldApi, found: Found): object {
  const { fields, list, place, cursor } = found;
  const refOf = (name: string | undefined, otherwise: string): string =>
    name === undefined ? otherwise : (pathOf([name]) ?? name);
  const next = place && pathOf(place);
  const variable = (name: string): string => `\${OLD_${name.toUpperCase().replaceAll('-', '_')}}`;
  const secrets: object = Object.fromEntries(Object.keys(headers).map((name) => [name, variable(name)]));
  return {
    kind: 'long-poll',
    readers: [{ org: 'acme', headers: secrets }],
    items: pathOf(list ?? []) ?? '$',
    ...(next !== undefined && { next }),
    ...(cursor.in === 'header' && { nextHeader: 'ETag' }),
    id: refOf(fields.id, '$.id'),
    type: refOf(fields.type, '=update'),
    payload: isWhole(found) ? '$' : refOf(fields.payload, '$'),
  };
}

export function authOf({ url, headers }: OldApi, notes: string[]): object {
  const resolve = { url: `${url.origin}/whoami`, user: '$.id', org: '$.org' };
  const cookie = /^([^=;\s]+)=/.exec(headers['cookie'] ?? '')?.[1];
  const isBearer = /^bearer /i.test(headers['authorization'] ?? '');
  if (cookie === undefined && !isBearer) return {};
  notes.push('auth.resolve is a placeholder: the address that says who a request is, or auth.jwt');
  return { auth: isBearer ? { from: 'bearer', resolve } : { from: 'cookie', name: cookie, resolve } };
}
