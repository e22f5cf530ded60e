/** What an old API's answer seems to be made of: the list of events, the cursor, the fields of an event. Guesses, pure. */
import { isObject } from '../../json.ts';
import { cursorFormats } from '../../legacy/dialect/cursor.ts';
import { parseExact } from '../../legacy/dialect/exact-json.ts';
import { compileSteps, memberOf } from '../../legacy/dialect/json-path.ts';
import type { Template } from '../../legacy/dialect/template.ts';
import { CommandError } from '../exits.ts';
import { bodyOf, type OldAnswer } from './old-api.ts';

type Steps = readonly (string | number)[];
type Format = 'integer' | 'timestamp' | 'stream-id' | 'string';

interface Scalar {
  readonly steps: Steps;
  readonly value: string | number;
}

/** Names of query parameters. */
export type QueryNames = Readonly<Record<'cursor' | 'wait' | 'limit', string | undefined>>;

/** What was found in the first answer. */
export type Found = ReturnType<typeof examine>;

const names = {
  cursor:
    /^(next|cursor|since|after|last|from|offset|token|seq|version|etag|position|marker)|(cursor|token|since|after|from|_id|Id)$/i,
  wait: /timeout|wait|hold|block/i,
  limit: /limit|max|count|size/i,
  id: /^(id|_id|uid|uuid|seq|event_?id|key)$/i,
  type: /^(type|kind|event|name|topic)$/i,
  payload: /^(payload|data|body|content|message)$/i,
};

/** Every value outside of lists, with where it stands; what is too deep down is left out. */
function* valuesIn(value: unknown, steps: Steps = []): Generator<{ steps: Steps; value: unknown }> {
  yield { steps, value };
  if (isObject(value) && steps.length < 4)
    for (const [name, inner] of Object.entries(value)) yield* valuesIn(inner, [...steps, name]);
}

/** The list nearest to the top; one with something in it goes first. */
function findList(body: unknown): Steps | undefined {
  const lists = [...valuesIn(body)].filter(({ steps, value }) => Array.isArray(value) && steps.length < 4);
  const nearest = lists.toSorted((a, b) => a.steps.length - b.steps.length);
  return (nearest.find(({ value }) => Array.isArray(value) && value.length > 0) ?? nearest[0])?.steps;
}

/** Where in a body the next cursor stands: a field of the last item's value first, then one that is called so. */
function findCursor(body: unknown, lastItem: unknown): Scalar | undefined {
  const scalars = [...valuesIn(body)].filter((one): one is Scalar => isScalar(one.value));
  const ids = isObject(lastItem) ? Object.values(lastItem).filter(isScalar).map(String) : [];
  const isNamed = ({ steps }: Scalar): boolean => names.cursor.test(String(steps.at(-1) ?? ''));
  return (
    scalars.find((one) => isNamed(one) && ids.includes(String(one.value))) ??
    scalars.find(isNamed) ??
    scalars.find(({ value }) => String(value).length > 1 && ids.includes(String(value)))
  );
}

const isScalar = (value: unknown): value is string | number =>
  typeof value === 'string' || typeof value === 'number';

/** Which query parameter is which, by its name. */
export function findParameters(query: URLSearchParams): QueryNames {
  const left = new Set(query.keys());
  const take = (form: RegExp): string | undefined => {
    const name = [...left].find((one) => form.test(one));
    if (name !== undefined) left.delete(name);
    return name;
  };
  const [wait, limit] = [take(names.wait), take(names.limit)];
  return { wait, limit, cursor: take(names.cursor) ?? take(names.id) };
}

/**
 * Names of an item's fields; the cursor's is the one whose value a client comes back with.
 * @param seen the value of an answer's cursor, which its last item has in one of its fields, often
 * @param given the value that was asked with: a field of the same format is where it came from
 */
function findFields(item: unknown, seen: string | undefined, given: string | undefined) {
  const entries = isObject(item) ? Object.entries(item) : [];
  const named = (form: RegExp): string | undefined => entries.find(([name]) => form.test(name))?.[0];
  const id = named(names.id);
  const same = entries.find(([, value]) => isScalar(value) && String(value) === seen)?.[0];
  const isTimed = given !== undefined && formatOf(given, '') === 'timestamp';
  const timed = entries.find(
    ([name, value]) => isScalar(value) && formatOf(value, name) === 'timestamp',
  )?.[0];
  const cursor = same ?? (isTimed ? timed : undefined) ?? id;
  return { id: id ?? cursor, cursor, type: named(names.type), payload: named(names.payload) };
}

function formatOf(value: string | number, where: string): Format {
  const text = String(value);
  // An integer of ten digits or more in a field that is called a time counts seconds or milliseconds.
  if (/^\d{10,16}$/.test(text) && /time|date|_at$|^at$|^ts$/i.test(where)) return 'timestamp';
  if (cursorFormats.integer.canonical(text) !== undefined) return 'integer';
  if (/^\d{5,}-\d+$/.test(text)) return 'stream-id';
  return cursorFormats.timestamp.canonical(text) === undefined ? 'string' : 'timestamp';
}

/** @param parameter that carries the cursor. @throws CommandError for what is no JSON */
export function examine(url: URL, answer: OldAnswer, parameter: string | undefined, notes: string[]) {
  const body = bodyOf(answer, parseExact);
  if (answer.body !== undefined && body === undefined)
    throw new CommandError('usage', 'the old API answers with something else than JSON');
  const list = findList(body);
  const items = itemsAt(list, body);
  const item = items.at(-1);
  if (items.length === 0)
    notes.push(
      'no events were seen: their list and fields are guesses; once more with a cursor that has some after it',
    );
  const inBody = findCursor(body, item);
  const tag = /^(?:W\/)?"(.*)"$/.exec(answer.headers['etag'] ?? '')?.[1];
  const etag = parameter === undefined ? tag : undefined;
  const seen = etag ?? inBody?.value;
  const given = url.searchParams.get(parameter ?? '') ?? undefined;
  const fields = findFields(item, seen === undefined ? undefined : String(seen), given);
  const last = fields.cursor === undefined ? undefined : memberOf(item, fields.cursor);
  const value = seen ?? (isScalar(last) ? last : undefined);
  const format = value === undefined ? 'string' : formatOf(value, fields.cursor ?? '');
  if (value === undefined) notes.push('no cursor was found: request.cursor is a guess');
  // Long numbers are looked at as they are.
  const isText = inBody !== undefined && typeof compileSteps(inBody.steps)(bodyOf(answer)) === 'string';
  return {
    list,
    items,
    cursor:
      etag === undefined
        ? { in: 'query', name: parameter ?? 'since', wrap: '{}' }
        : { in: 'header', name: 'If-None-Match', wrap: '"{}"' },
    value: value === undefined ? undefined : String(value),
    format,
    /** In the body; a header's is `etag`. */
    place: etag === undefined ? inBody?.steps : undefined,
    /** The cursor's word in the body's template. */
    word: isText && format !== 'string' && format !== 'stream-id' ? '$cursor:text' : '$cursor',
    fields,
  };
}

export function itemsAt(list: Steps | undefined, body: unknown): readonly unknown[] {
  const items = list && compileSteps(list)(body);
  return Array.isArray(items) ? items : [];
}

/** The body as a template, all as it was seen but for the words of places. @param words by `placeOf` */
export function templateOf(
  value: unknown,
  words: ReadonlyMap<string, string> = new Map(),
  steps: Steps = [],
): Template {
  const word = words.get(placeOf(steps));
  if (word !== undefined) return word;
  if (typeof value === 'string') return value.startsWith('$') ? `$${value}` : value;
  if (Array.isArray(value)) return value.map((item, index) => templateOf(item, words, [...steps, index]));
  if (isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, templateOf(inner, words, [...steps, name])]),
    );
  // JSON has nothing else.
  return value as number | boolean | null;
}

export const placeOf = (steps: Steps): string => JSON.stringify(steps);
