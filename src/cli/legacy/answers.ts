/**
 * One answer of the old API beside the template that would write it: what a client would see differ, by places alone. What
 * stands there is not shown. Pure.
 */
import type { Profile } from '../../../schema/profile.ts';
import { cursorWire } from '../../legacy/dialect/cursor.ts';
import type { Dialect, LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { isMarked, markedJson } from '../../legacy/dialect/exact-json.ts';
import { eventPlace, type Template, unescaped } from '../../legacy/dialect/template.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { bodyOf } from './old-api.ts';
import { itemFault } from './source.ts';

/** The templates of answers. */
type Named = 'idle' | 'events';

/** Of the hop, of the server, or written by whoever serves. */
const ownHeaders =
  /^(date|connection|keep-alive|content-length|content-encoding|transfer-encoding|content-type|server|x-powered-by|vary|via|trailer|upgrade)$/;

/** Of the whole answer's body; what is inside `$events` is looked at by `eventDifferences`. */
export function bodyFindings(name: Named, { request, response }: Profile, answer: LegacyAnswer): Finding[] {
  const { body } = response[name];
  if (body === undefined) return [];
  const wire = cursorWire(request.cursor);
  return differences(name, body, [bodyOf(answer)], (text, value, at) => {
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

export function eventsFindings(dialect: Dialect, answer: LegacyAnswer, items: readonly unknown[]): Finding[] {
  const { profile } = dialect;
  const { event } = profile.response;
  const body = Buffer.from(markedJson((answer.body ?? '').toString()));
  const marked = dialect.read({ ...answer, body });
  return [
    ...bodyFindings('events', profile, answer),
    ...eventDifferences(event, items),
    ...(marked.kind === 'events' ? inexactDifferences(event, marked.items) : []),
    ...headerFindings('events', profile, answer),
    ...itemFindings(dialect, items),
  ];
}

export function headerFindings(name: Named, { response }: Profile, answer: LegacyAnswer): Finding[] {
  const { warning, error } = findingsAbout(name);
  const { headers, body } = response[name];
  const names = Object.keys(headers).map((header) => header.toLowerCase());
  const missing = names.filter((header) => answer.headers[header] === undefined);
  const extra = Object.keys(answer.headers).filter((one) => !names.includes(one) && !ownHeaders.test(one));
  const next = `response.${name}.headers`;
  const found: Finding[] = [];
  if (missing.length > 0) found.push(error(`the old API has no header ${missing.join(', ')}`, next));
  if (extra.length > 0)
    found.push(warning(`headers that the template leaves out: ${extra.join(', ')}`, next));
  const isJson = answer.headers['content-type']?.startsWith('application/json') === true;
  if (body !== undefined && !names.includes('content-type') && !isJson)
    found.push(warning('the content type is not application/json', `${next}.content-type`));
  return found;
}

/** Whether the bridge could read these very items. */
function itemFindings(dialect: Dialect, items: readonly unknown[]): Finding[] {
  if (dialect.profile.source?.kind !== 'long-poll') return [];
  const faults = new Set(items.flatMap((item) => itemFault(dialect, item) ?? []));
  return [...faults].map((message) => findingsAbout('source').error(message, 'source'));
}

/** What is wrong with the value at a template's string; undefined: nothing. */
type Judge = (text: string, value: unknown, at: string) => string | undefined;

/** Of the events in it, all of them. */
function eventDifferences(template: Template, items: readonly unknown[]): Finding[] {
  return differences('event', template, items, (text, value, at) => {
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
function inexactDifferences(template: Template, items: readonly unknown[]): Finding[] {
  const found = differences('event', template, items, (text, value, at) => {
    const place = eventPlace(text);
    const inside = stepsToMarked(value);
    if (place === undefined || inside === undefined || (inside === '' && place.form === 'number'))
      return undefined;
    return `${at}${inside}: a number that a double can't hold, and a text here: ${place.path}${inside}:number`;
  });
  return found.filter(({ level }) => level === 'error');
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

/** @param judge what stands at the template's strings */
function differences(
  name: Named | 'event',
  whole: Template,
  values: readonly unknown[],
  judge: Judge,
): Finding[] {
  const next = name === 'event' ? 'response.event' : `response.${name}.body`;
  const { warning, error } = findingsAbout(name);
  const [leftOut, added, unlike] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const compare = (template: Template, value: unknown, at: string): void => {
    if (value === undefined) added.add(at);
    else if (template === null || typeof template !== 'object') {
      const fault =
        typeof template === 'string' ? judge(template, value, at) : literalUnlike(template, value, at);
      if (fault !== undefined) unlike.add(fault);
    } else if (
      typeof value !== 'object' ||
      value === null ||
      Array.isArray(value) !== Array.isArray(template)
    )
      unlike.add(`${at}: another kind of value in the old API`);
    else {
      const members = value as Record<string, unknown>;
      for (const [step, inner] of Object.entries(template))
        compare(inner, members[step], at + stepInto(template, step));
      for (const step of Object.keys(members))
        if (!Object.hasOwn(template, step)) leftOut.add(at + stepInto(template, step));
    }
  };
  for (const value of values) compare(whole, value, '$');
  const some = (places: ReadonlySet<string>): string[] => [...places].slice(0, 20);
  const [left, more] = [some(leftOut).join(', '), some(added).join(', ')];
  return [
    leftOut.size > 0
      ? warning(`the old API's body has fields that the template leaves out: ${left}`, next)
      : [],
    added.size > 0 ? warning(`the template has fields that the old API's body has not: ${more}`, next) : [],
    some(unlike).map((fault) => error(fault, next)),
  ].flat();
}
