/** Answers of a legacy API: written from the profile's response templates, and read by the same templates. */
import type { Profile } from '../../../schema/profile.ts';
import { type CursorWire, cursorText, holdsCursor } from './cursor.ts';
import type { LegacyAnswer, LegacyReading } from './dialect.ts';
import { parseExact } from './exact-json.ts';
import { compileSteps, memberOf, stepsOf } from './json-path.ts';
import {
  type AnswerTemplate,
  compileTemplate,
  eventPlace,
  leavesOf,
  type Template,
  unescaped,
} from './template.ts';

/** What fills an answer's places. */
interface Filling {
  /** As JSON, each. */
  readonly events: readonly string[];
  readonly cursor: string | undefined;
}

/** A header's value or a string of the body as JSON; undefined where it is left out. */
type WriteText = (filling: Filling) => string | undefined;

export function compileAnswer(template: AnswerTemplate, wire: CursorWire) {
  const { status, body } = template;
  const write = body === undefined ? undefined : compileTemplate(body, (text) => answerLeaf(text, wire));
  const headers = Object.entries(template.headers).map(([name, text]): [string, WriteText] => [
    name.toLowerCase(),
    headerText(text, wire),
  ]);
  if (write !== undefined && !headers.some(([name]) => name === 'content-type'))
    headers.push(['content-type', () => 'application/json; charset=utf-8']);
  return (filling: Filling): LegacyAnswer => {
    const written: Record<string, string> = {};
    for (const [name, text] of headers) {
      const value = text(filling);
      if (value !== undefined) written[name] = value;
    }
    return { status, headers: written, body: write && Buffer.from(write(filling) ?? 'null') };
  };
}

function answerLeaf(text: string, wire: CursorWire): WriteText | undefined {
  if (text === '$events') return ({ events }) => `[${events.join(',')}]`;
  if (text === '$cursor') return ({ cursor }) => (cursor === undefined ? undefined : wire.json(cursor));
  const place = cursorText(text, wire);
  return place && (({ cursor }) => (cursor === undefined ? undefined : JSON.stringify(place.write(cursor))));
}

function headerText(text: string, wire: CursorWire): WriteText {
  const place = cursorText(text, wire);
  if (place === undefined) return () => unescaped(text);
  return ({ cursor }) => (cursor === undefined ? undefined : place.write(cursor));
}

export function compileReading(profile: Profile, wire: CursorWire): (answer: LegacyAnswer) => LegacyReading {
  const { idle, events } = profile.response;
  const eventsLeaf = leavesOf(events.body).find(({ value }) => value === '$events');
  const itemsOf = eventsLeaf && compileSteps(eventsLeaf.steps);
  const [eventsCursor, idleCursor] = [cursorReader(events, wire), cursorReader(idle, wire)];
  const lastCursor = itemCursor(profile, wire);

  return (answer) => {
    const { status } = answer;
    if (status !== events.status && status !== idle.status)
      return unreadable(`status ${status}, where the profile knows ${statuses(profile)}`);
    const isOnlyIdle = status === idle.status && status !== events.status;
    // A body that no template expects, behind a status that says it all (an intermediary's words), is not looked at.
    const isBodyless =
      idle.body === undefined ? isOnlyIdle || isEmpty(answer) : isOnlyIdle && isEmpty(answer);
    if (status === idle.status && isBodyless) return { kind: 'idle', cursor: idleCursor(answer, undefined) };
    if (isEmpty(answer)) return unreadable(`status ${status} without a body`);
    let json: unknown;
    try {
      json = parseExact((answer.body ?? '').toString());
    } catch {
      return unreadable('the body is not JSON');
    }
    const items = status === events.status ? itemsOf?.(json) : undefined;
    if (Array.isArray(items) && items.length > 0)
      return {
        kind: 'events',
        items,
        cursor: eventsCursor(answer, json) ?? lastCursor?.(items.at(-1)),
      };
    const isIdle = status === idle.status && idle.body !== undefined && isIdleBody(idle.body, json);
    if (Array.isArray(items) || isIdle)
      return { kind: 'idle', cursor: idleCursor(answer, json) ?? eventsCursor(answer, json) };
    return unreadable("the body has no list where the profile's template has $events");
  };
}

const statuses = ({ response: { idle, events } }: Profile): string =>
  [...new Set([events.status, idle.status])].join(' and ');

const isEmpty = ({ body }: LegacyAnswer): boolean => body === undefined || body.length === 0;

const unreadable = (why: string): LegacyReading => ({ kind: 'unreadable', why });

type ReadCursor = (answer: LegacyAnswer, json: unknown) => string | undefined;

/** Where the template has the cursor, in its body or a header; undefined answers where it has none. */
function cursorReader({ headers, body }: AnswerTemplate, wire: CursorWire): ReadCursor {
  const [inBody] = leavesOf(body).flatMap(({ steps, value }) => {
    const place = cursorText(value, wire);
    return place === undefined ? [] : [textReader(compileSteps(steps), place.read)];
  });
  if (inBody !== undefined) return (_, json) => inBody(json);
  for (const [name, text] of Object.entries(headers)) {
    const place = cursorText(text, wire);
    if (place !== undefined)
      return textReader((answer: LegacyAnswer) => answer.headers[name.toLowerCase()], place.read);
  }
  return () => undefined;
}

/** Reads what is a text or a number. */
export const textReader =
  <T>(get: (from: T) => unknown, read: (text: string) => string | undefined) =>
  (from: T): string | undefined => {
    const value = get(from);
    return typeof value === 'string' || typeof value === 'number' ? read(String(value)) : undefined;
  };

/**
 * Reads from an item of an answer the value that cursors are made of: by it an event is known in the legacy API, and many a
 * client takes the last item's for its next cursor. Undefined where the template writes no such value.
 */
export function itemCursor(
  { request: { cursor }, response: { event } }: Profile,
  wire: CursorWire,
): ((item: unknown) => string | undefined) | undefined {
  const wanted = stepsOf(cursor.format === 'opaque' ? '$.id' : cursor.value);
  for (const { steps, value } of leavesOf(event)) {
    const place = typeof value === 'string' ? eventPlace(value) : undefined;
    if (place === undefined || place.form?.startsWith('epoch')) continue;
    const at = stepsOf(place.path);
    if (at.length > wanted.length || at.some((step, index) => step !== wanted[index])) continue;
    // Bare: the wrapping is the answer's, not the item's.
    return textReader(compileSteps([...steps, ...wanted.slice(at.length)]), wire.canonical);
  }
  return undefined;
}

/** True for a body that has what the idle template has; what the template doesn't name may be there too. */
function isIdleBody(template: Template, json: unknown): boolean {
  if (typeof template === 'string') {
    if (template === '$events') return Array.isArray(json) && json.length === 0;
    return holdsCursor(template) || json === unescaped(template);
  }
  if (template === null || typeof template !== 'object') return json === template;
  if (Array.isArray(template))
    return (
      Array.isArray(json) &&
      json.length === template.length &&
      template.every((item, index) => isIdleBody(item, json[index]))
    );
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return false;
  return Object.entries(template).every(([name, value]) => isIdleBody(value, memberOf(json, name)));
}
