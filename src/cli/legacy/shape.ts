/** Where an answer of the old API and a template differ, by places alone: what stands there is not shown. Pure. */
import type { CursorWire } from '../../legacy/dialect/cursor.ts';
import { isMarked } from '../../legacy/dialect/exact-json.ts';
import { eventPlace, type Template, unescaped } from '../../legacy/dialect/template.ts';

export interface ShapeDifferences {
  /** In the old answer, not in the template. */
  readonly leftOut: readonly string[];
  /** In the template, not in the old answer. */
  readonly added: readonly string[];
  /** In both, and not alike: what to do about it. */
  readonly unlike: readonly string[];
}

interface Found {
  readonly leftOut: Set<string>;
  readonly added: Set<string>;
  readonly unlike: Set<string>;
}

type Place = (text: string, value: unknown, at: string) => string | undefined;

/** Of the whole answer's body; what is inside `$events` is looked at by `eventDifferences`. */
export function answerDifferences(template: Template, json: unknown, wire: CursorWire): ShapeDifferences {
  return differences(template, [json], (text, value, at) => {
    if (text === '$events') return Array.isArray(value) ? undefined : `${at}: no list`;
    if (text === '$cursor' && value !== null)
      return cursorUnlike(
        typeof value,
        typeof value === 'string' ? wire.unwrapped(value) : undefined,
        wire,
        at,
      );
    if (text === '$cursor:text' && value !== null)
      return typeof value === 'string' ? undefined : `${at}: a number in the old API: $cursor`;
    return text.includes('$cursor') ? undefined : literalUnlike(text, value, at);
  });
}

function cursorUnlike(
  type: string,
  value: string | undefined,
  wire: CursorWire,
  at: string,
): string | undefined {
  const isNumber = type === 'number';
  if (!isNumber && value === undefined) return `${at}: not a cursor of this format`;
  if (!isNumber && value !== undefined && wire.json(value) === value)
    return `${at}: a text in the old API, and a number here: $cursor:text`;
  return undefined;
}

/** Of the events in it, all of them. */
export function eventDifferences(template: Template, items: readonly unknown[]): ShapeDifferences {
  return differences(template, items, (text, value, at) => {
    const place = eventPlace(text);
    if (place === undefined) return literalUnlike(text, value, at);
    // What publishers wrote goes through as it is; the envelope's own fields are texts, seq apart.
    if (/^\$(\.payload|\.meta|\.seq|$)/.test(place.path)) return undefined;
    const writesNumber = place.form !== undefined && place.form !== 'text';
    if (typeof value === 'number' && !writesNumber)
      return `${at}: a number in the old API, and a text here: ${place.path}:number`;
    if (typeof value === 'string' && writesNumber && !/^\d{16,}$/.test(value))
      return `${at}: a text in the old API, and a number here: ${place.path}`;
    return undefined;
  });
}

/** Numbers that a double can't hold come as texts where a template doesn't name them. @param items as `markedJson` has them */
export function inexactDifferences(template: Template, items: readonly unknown[]): readonly string[] {
  const found = differences(template, items, (text, value, at) => {
    const place = eventPlace(text);
    const inside = stepsToMarked(value);
    if (place === undefined || inside === undefined || (inside === '' && place.form === 'number'))
      return undefined;
    return `${at}${inside}: a number that a double can't hold, and a text here: ${place.path}${inside}:number`;
  });
  return found.unlike;
}

function stepsToMarked(value: unknown): string | undefined {
  if (isMarked(value)) return '';
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const rest = stepsToMarked(inner);
    if (rest !== undefined) return `${Array.isArray(value) ? `[${name}]` : `.${name}`}${rest}`;
  }
  return undefined;
}

const literalUnlike = (text: string, value: unknown, at: string): string | undefined =>
  value === unescaped(text)
    ? undefined
    : `${at}: the template says always the same, the old API something else`;

function differences(template: Template, values: readonly unknown[], place: Place): ShapeDifferences {
  const found: Found = { leftOut: new Set(), added: new Set(), unlike: new Set() };
  for (const value of values) compare(template, value, '$', place, found);
  const some = (set: Set<string>): string[] => [...set].slice(0, 20);
  return { leftOut: some(found.leftOut), added: some(found.added), unlike: some(found.unlike) };
}

function compare(template: Template, value: unknown, at: string, place: Place, found: Found): void {
  if (value === undefined) return void found.added.add(at);
  if (typeof template === 'string') {
    const unlike = place(template, value, at);
    if (unlike !== undefined) found.unlike.add(unlike);
    return;
  }
  if (template === null || typeof template !== 'object') {
    if (template !== value)
      found.unlike.add(`${at}: the template says always the same, the old API something else`);
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) !== Array.isArray(template))
    return void found.unlike.add(`${at}: another kind of value in the old API`);
  const members = value as Record<string, unknown>;
  const isList = Array.isArray(template);
  for (const [name, inner] of Object.entries(template))
    compare(inner, members[name], isList ? `${at}[${name}]` : `${at}.${name}`, place, found);
  for (const name of Object.keys(members))
    if (!Object.hasOwn(template, name)) found.leftOut.add(isList ? `${at}[${name}]` : `${at}.${name}`);
}
