/** What an old API's answer seems to be made of: the list of events, the cursor, the fields of an event. Guesses, pure. */
import { cursorFormats } from '../../legacy/dialect/cursor-format.ts';
import type { Template } from '../../legacy/dialect/template.ts';

export type Steps = readonly (string | number)[];
export type Format = 'integer' | 'timestamp' | 'stream-id' | 'string';

interface Scalar {
  readonly steps: Steps;
  readonly value: string | number;
}

export interface ItemFields {
  readonly id: string | undefined;
  /** Whose value a client comes back with. */
  readonly cursor: string | undefined;
  readonly type: string | undefined;
  readonly payload: string | undefined;
}

const names = {
  cursor:
    /^(next|cursor|since|after|last|from|offset|token|seq|version|etag|position|marker)|(cursor|token|since|after|from|_id|Id)$/i,
  wait: /timeout|wait|hold|block/i,
  limit: /limit|max|count|size/i,
  id: /^(id|_id|uid|uuid|seq|event_?id|key)$/i,
  type: /^(type|kind|event|name|topic)$/i,
  payload: /^(payload|data|body|content|message)$/i,
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every value outside of lists, with where it stands; what is too deep down is left out. */
function* valuesIn(value: unknown, steps: Steps = []): Generator<{ steps: Steps; value: unknown }> {
  yield { steps, value };
  if (isRecord(value) && steps.length < 4)
    for (const [name, inner] of Object.entries(value)) yield* valuesIn(inner, [...steps, name]);
}

/** The list nearest to the top; one with something in it goes first. */
export function findList(body: unknown): Steps | undefined {
  const lists = [...valuesIn(body)].filter(({ steps, value }) => Array.isArray(value) && steps.length < 4);
  const nearest = lists.toSorted((a, b) => a.steps.length - b.steps.length);
  return (nearest.find(({ value }) => Array.isArray(value) && value.length > 0) ?? nearest[0])?.steps;
}

/** Where in a body the next cursor stands: a field of the last item's value first, then one that is called so. */
export function findCursor(body: unknown, lastItem: unknown): Scalar | undefined {
  const scalars = [...valuesIn(body)].filter((one): one is Scalar => isScalar(one.value));
  const ids = isRecord(lastItem) ? Object.values(lastItem).filter(isScalar).map(String) : [];
  const isNamed = ({ steps }: Scalar): boolean => names.cursor.test(String(steps.at(-1) ?? ''));
  return (
    scalars.find((one) => isNamed(one) && ids.includes(String(one.value))) ??
    scalars.find(isNamed) ??
    scalars.find(({ value }) => String(value).length > 1 && ids.includes(String(value)))
  );
}

export const isScalar = (value: unknown): value is string | number =>
  typeof value === 'string' || typeof value === 'number';

/** Which query parameter is which, by its name. */
export function findParameters(query: URLSearchParams): {
  cursor: string | undefined;
  wait: string | undefined;
  limit: string | undefined;
} {
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
 * @param seen the value of an answer's cursor, which its last item has in one of its fields, often
 * @param given the value that was asked with: a field of the same format is where it came from
 */
export function findFields(item: unknown, seen: string | undefined, given: string | undefined): ItemFields {
  const entries = isRecord(item) ? Object.entries(item) : [];
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

export function formatOf(value: string | number, where: string): Format {
  const text = String(value);
  // An integer of ten digits or more in a field that is called a time counts seconds or milliseconds.
  if (/^\d{10,16}$/.test(text) && /time|date|_at$|^at$|^ts$/i.test(where)) return 'timestamp';
  if (cursorFormats.integer.canonical(text) !== undefined) return 'integer';
  if (/^\d{5,}-\d+$/.test(text)) return 'stream-id';
  return cursorFormats.timestamp.canonical(text) === undefined ? 'string' : 'timestamp';
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
  if (isRecord(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, templateOf(inner, words, [...steps, name])]),
    );
  // JSON has nothing else.
  return value as number | boolean | null;
}

export const placeOf = (steps: Steps): string => JSON.stringify(steps);
