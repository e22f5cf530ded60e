/** Where an answer of the old API and a template differ, by places alone: what stands there is not shown. Pure. */
import type { CursorWire } from '../../legacy/dialect/cursor-wire.ts';
import { isMarked } from '../../legacy/dialect/exact-json.ts';
import { eventPlace, type Template, unescaped } from '../../legacy/dialect/template.ts';

export interface ShapeDifferences {
  /** In the old answer, not in the template. */
  readonly leftOut: Set<string>;
  /** In the template, not in the old answer. */
  readonly added: Set<string>;
  /** In both, and not alike: what to do about it. */
  readonly unlike: Set<string>;
}

/** What is wrong with the value at a template's string; undefined: nothing. */
type Judge = (text: string, value: unknown, at: string) => string | undefined;

/** Of the whole answer's body; what is inside `$events` is looked at by `eventDifferences`. */
export function answerDifferences(template: Template, json: unknown, wire: CursorWire): ShapeDifferences {
  return differences(template, [json], (text, value, at) => {
    if (text === '$events') return Array.isArray(value) ? undefined : `${at}: no list`;
    const isText = typeof value === 'string';
    if (text === '$cursor' && value !== null) {
      if (typeof value === 'number') return undefined;
      const cursor = isText ? wire.unwrapped(value) : undefined;
      if (cursor === undefined) return `${at}: not a cursor of this format`;
      const isNumberHere = wire.json(cursor) === cursor;
      return isNumberHere ? `${at}: a text in the old API, and a number here: $cursor:text` : undefined;
    }
    if (text === '$cursor:text' && value !== null)
      return isText ? undefined : `${at}: a number in the old API: $cursor`;
    return text.includes('$cursor') ? undefined : literalUnlike(text, value, at);
  });
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
export function inexactDifferences(template: Template, items: readonly unknown[]): ReadonlySet<string> {
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
    if (rest !== undefined) return `${stepInto(value, name)}${rest}`;
  }
  return undefined;
}

const stepInto = (value: object, name: string): string => (Array.isArray(value) ? `[${name}]` : `.${name}`);

const literalUnlike = (literal: Template, value: unknown, at: string): string | undefined =>
  value === (typeof literal === 'string' ? unescaped(literal) : literal)
    ? undefined
    : `${at}: the template says always the same, the old API something else`;

function differences(whole: Template, values: readonly unknown[], judge: Judge): ShapeDifferences {
  const found: ShapeDifferences = { leftOut: new Set(), added: new Set(), unlike: new Set() };
  const compare = (template: Template, value: unknown, at: string): void => {
    if (value === undefined) return void found.added.add(at);
    if (template === null || typeof template !== 'object') {
      const unlike =
        typeof template === 'string' ? judge(template, value, at) : literalUnlike(template, value, at);
      if (unlike !== undefined) found.unlike.add(unlike);
    } else if (
      typeof value !== 'object' ||
      value === null ||
      Array.isArray(value) !== Array.isArray(template)
    )
      found.unlike.add(`${at}: another kind of value in the old API`);
    else {
      const members = value as Record<string, unknown>;
      for (const [name, inner] of Object.entries(template))
        compare(inner, members[name], at + stepInto(template, name));
      for (const name of Object.keys(members))
        if (!Object.hasOwn(template, name)) found.leftOut.add(at + stepInto(template, name));
    }
  };
  for (const value of values) compare(whole, value, '$');
  return found;
}
