/** Proposes a profile from two answers of an old API: one with events where there are any, and an idle one. */
import { stringify } from 'yaml';
import { parseExact } from '../legacy/exact-json.ts';
import { compileSteps, pathOf } from '../legacy/json-path.ts';
import { profileProblems } from '../legacy/profile-problems.ts';
import { parseShape } from '../legacy/profile-shape.ts';
import type { Template } from '../legacy/template.ts';
import { CommandError } from './exits.ts';
import { bodyOf } from './legacy-answers.ts';
import {
  findCursor,
  findFields,
  findList,
  findParameters,
  type Format,
  formatOf,
  type ItemFields,
  templateOf,
} from './legacy-detect.ts';
import { askOldApi, type OldAnswer, parseHeader, parseOldUrl } from './legacy-old-api.ts';
import type { Terminal } from './terminal.ts';

export interface RecordTarget {
  readonly url: string;
  readonly header?: readonly string[];
  readonly name: string;
}

export interface Proposal {
  readonly yaml: string;
  readonly profile: unknown;
  /** What to look at by hand. */
  readonly notes: readonly string[];
}

type Steps = readonly (string | number)[];

/** What was found in the first answer. */
interface Found {
  readonly list: Steps | undefined;
  readonly items: readonly unknown[];
  readonly cursor: { readonly in: 'query' | 'header'; readonly name: string; readonly wrap: string };
  readonly value: string | undefined;
  readonly format: Format;
  /** In the body; a header's is `etag`. */
  readonly place: Steps | undefined;
  /** The cursor's word in the body's template. */
  readonly word: string;
  readonly fields: ItemFields;
}

const timeoutMs = 70_000;

/** @throws CommandError where nothing answers, or what answers is no JSON */
export async function recordProfile(terminal: Terminal, target: RecordTarget): Promise<Proposal> {
  const url = parseOldUrl(target.url);
  const headers = Object.fromEntries((target.header ?? []).map(parseHeader));
  const parameters = findParameters(url.searchParams);
  const notes: string[] = [];
  const first = await askOldApi(terminal, { url, headers, timeoutMs });
  if (first.status >= 400 || (first.status >= 300 && first.status !== 304))
    throw new CommandError('usage', `the old API answers ${first.status}: nothing to learn a profile from`, {
      hint: "--header 'cookie: …', as a client sends it, or another address",
    });
  const given = url.searchParams.get(parameters.cursor ?? '') ?? undefined;
  const found = examine(first, parameters.cursor, given, notes);
  const idle = await askIdle(terminal, url, headers, found, parameters.wait);
  if (idle === undefined) notes.push('response.idle is a guess: no idle answer was seen');
  const profile = {
    name: target.name,
    match: { method: 'GET', path: url.pathname },
    upstream: url.origin,
    ...authOf(headers, url, notes),
    request: requestOf(url, parameters, found, notes),
    response: {
      idle: idle === undefined ? { status: 204 } : answerOf(idle, found),
      events: first.body === undefined ? { status: 200, body: '$events' } : answerOf(first, found),
      event: eventOf(found),
    },
    source: sourceOf(headers, found),
  };
  return { profile, notes: [...notes, ...problemsOf(profile)], yaml: stringify(profile, { lineWidth: 110 }) };
}

function examine(
  answer: OldAnswer,
  parameter: string | undefined,
  given: string | undefined,
  notes: string[],
): Found {
  const body = bodyOf(answer, parseExact);
  if (answer.body !== undefined && body === undefined)
    throw new CommandError('usage', 'the old API answers with something else than JSON');
  const list = findList(body);
  const listed = list === undefined ? undefined : compileSteps(list)(body);
  const items = Array.isArray(listed) ? (listed as unknown[]) : [];
  if (items.length === 0)
    notes.push(
      'no events were seen: their list and fields are guesses; once more with a cursor that has some after it',
    );
  const inBody = findCursor(body, items.at(-1));
  const etag =
    parameter === undefined ? /^(?:W\/)?"(.*)"$/.exec(answer.headers['etag'] ?? '')?.[1] : undefined;
  const seen = etag ?? inBody?.value;
  const fields = findFields(items.at(-1), seen === undefined ? undefined : String(seen), given);
  const last =
    fields.cursor === undefined ? undefined : (items.at(-1) as Record<string, unknown>)[fields.cursor];
  const value = seen ?? (typeof last === 'string' || typeof last === 'number' ? last : undefined);
  const format = value === undefined ? 'string' : formatOf(value, fields.cursor ?? '');
  if (value === undefined) notes.push('no cursor was found: request.cursor is a guess');
  return {
    list,
    items,
    cursor:
      etag === undefined
        ? { in: 'query', name: parameter ?? 'since', wrap: '{}' }
        : { in: 'header', name: 'If-None-Match', wrap: '"{}"' },
    value: value === undefined ? undefined : String(value),
    format,
    place: etag === undefined ? inBody?.steps : undefined,
    word:
      isText(answer, inBody?.steps) && format !== 'string' && format !== 'stream-id'
        ? '$cursor:text'
        : '$cursor',
    fields,
  };
}

/** Whether a text stands there; long numbers are looked at as they are. */
const isText = (answer: OldAnswer, steps: Steps | undefined): boolean =>
  steps !== undefined && typeof compileSteps(steps)(bodyOf(answer)) === 'string';

/** What comes when nothing does: asked at the end of what there is. */
async function askIdle(
  terminal: Terminal,
  url: URL,
  headers: Readonly<Record<string, string>>,
  { cursor, value, list }: Found,
  wait: string | undefined,
): Promise<OldAnswer | undefined> {
  if (value === undefined) return undefined;
  const next = new URL(url);
  const text = cursor.wrap.replace('{}', value);
  if (cursor.in === 'query') next.searchParams.set(cursor.name, text);
  if (wait !== undefined) next.searchParams.set(wait, '1');
  const sent = cursor.in === 'header' ? { ...headers, [cursor.name.toLowerCase()]: text } : headers;
  const answer = await askOldApi(terminal, { url: next, headers: sent, timeoutMs });
  if (answer.status >= 400) return undefined;
  const items = list === undefined ? undefined : compileSteps(list)(bodyOf(answer));
  return Array.isArray(items) && items.length > 0 ? undefined : answer;
}

function answerOf(answer: OldAnswer, { list, place, word, cursor }: Found): object {
  const headers =
    cursor.in === 'header' && answer.headers['etag'] !== undefined ? { ETag: '$cursor' } : undefined;
  const places = [
    ...(list === undefined ? [] : [{ steps: list, word: '$events' }]),
    ...(place === undefined ? [] : [{ steps: place, word }]),
  ];
  const hasBody = answer.body !== undefined;
  return {
    status: answer.status,
    ...(headers && { headers }),
    ...(hasBody && { body: templateOf(bodyOf(answer), places) }),
  };
}

function requestOf(
  url: URL,
  { wait, limit }: ReturnType<typeof findParameters>,
  found: Found,
  notes: string[],
): object {
  const { cursor, format, fields } = found;
  const value =
    isWhole(found) && fields.cursor !== undefined ? pathOf(['payload', fields.cursor]) : undefined;
  const given = Number(url.searchParams.get(wait ?? '') ?? Number.NaN);
  const unit = given >= 1000 ? 'ms' : 's';
  const most = unit === 'ms' ? 60_000 : 60;
  if (wait !== undefined)
    notes.push(`request.wait: ${wait} counts ${unit}, so it seems; what holds without it is a guess`);
  return {
    cursor: {
      in: cursor.in,
      name: cursor.name,
      format,
      ...(value !== undefined && { value }),
      ...(cursor.wrap !== '{}' && { wrap: cursor.wrap }),
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
const isWhole = ({ items, fields: { id, type, payload } }: Found): boolean => {
  const item = items.at(-1);
  const known = [id, type, payload];
  if (payload === undefined || id === undefined) return true;
  return typeof item !== 'object' || item === null || Object.keys(item).some((name) => !known.includes(name));
};

function eventOf(found: Found): Template {
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

function sourceOf(headers: Readonly<Record<string, string>>, found: Found): object {
  const { fields, list, place, cursor } = found;
  const refOf = (name: string | undefined, otherwise: string): string =>
    name === undefined ? otherwise : (pathOf([name]) ?? name);
  const next = place === undefined ? undefined : pathOf(place);
  const secrets = Object.keys(headers).map((name) => [
    name,
    `\${OLD_${name.toUpperCase().replaceAll('-', '_')}}`,
  ]);
  return {
    kind: 'long-poll',
    readers: [{ org: 'acme', headers: Object.fromEntries(secrets) as Record<string, string> }],
    items: pathOf(list ?? []) ?? '$',
    ...(next !== undefined && { next }),
    ...(cursor.in === 'header' && { nextHeader: 'ETag' }),
    id: refOf(fields.id, '$.id'),
    type: refOf(fields.type, '=update'),
    payload: isWhole(found) ? '$' : refOf(fields.payload, '$'),
  };
}

function authOf(headers: Readonly<Record<string, string>>, url: URL, notes: string[]): object {
  const resolve = { url: `${url.origin}/whoami`, user: '$.id', org: '$.org' };
  const cookie = /^([^=;\s]+)=/.exec(headers['cookie'] ?? '')?.[1];
  const isBearer = /^bearer /i.test(headers['authorization'] ?? '');
  if (cookie === undefined && !isBearer) return {};
  notes.push('auth.resolve is a placeholder: the address that says who a request is, or auth.jwt');
  return { auth: isBearer ? { from: 'bearer', resolve } : { from: 'cookie', name: cookie, resolve } };
}

function problemsOf(profile: unknown): string[] {
  const shape = parseShape(profile);
  const problems = 'name' in shape ? profileProblems(shape) : shape;
  return problems.map(({ path, message }) => `${path.join('.')}: ${message}`);
}
