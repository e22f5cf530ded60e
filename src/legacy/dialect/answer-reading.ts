/** Answers of the old API, read by the templates that would write them. */
import type { Profile } from '../../../schema/profile.ts';
import { holdsCursor, textPlace } from './answer-writing.ts';
import { between, type CursorWire } from './cursor-wire.ts';
import type { LegacyAnswer, LegacyReading } from './dialect.ts';
import { parseExact } from './exact-json.ts';
import { compileSteps, type Getter, stepsOf } from './json-path.ts';
import { eventPlace, type Template, unescaped } from './template.ts';

type AnswerTemplate = Profile['response']['idle'];
type Step = string | number;

/** A string of a template, and where it stands. */
interface Leaf {
  readonly steps: readonly Step[];
  readonly value: Exclude<Template, object>;
}

export function compileReading(profile: Profile, wire: CursorWire): (answer: LegacyAnswer) => LegacyReading {
  const { idle, events } = profile.response;
  const itemsOf = eventsPlace(events.body);
  const [eventsCursor, idleCursor] = [cursorReader(events, wire), cursorReader(idle, wire)];
  const lastCursor = itemCursor(profile, wire);

  return (answer) => {
    const { status } = answer;
    if (status !== events.status && status !== idle.status)
      return { kind: 'unreadable', why: `status ${status}, where the profile knows ${statuses(profile)}` };
    const isOnlyIdle = status === idle.status && status !== events.status;
    // A body that no template expects, behind a status that says it all (an intermediary's words), is not looked at.
    const isBodyless =
      idle.body === undefined ? isOnlyIdle || isEmpty(answer) : isOnlyIdle && isEmpty(answer);
    if (status === idle.status && isBodyless) return { kind: 'idle', cursor: idleCursor(answer, undefined) };
    const body = parsedBody(answer);
    if ('why' in body) return { kind: 'unreadable', why: body.why };
    const items = status === events.status ? itemsOf?.(body.json) : undefined;
    if (Array.isArray(items) && items.length > 0)
      return {
        kind: 'events',
        items,
        cursor: eventsCursor(answer, body.json) ?? lastCursor?.(items.at(-1)),
      };
    if (
      Array.isArray(items) ||
      (status === idle.status && idle.body !== undefined && isIdleBody(idle.body, body.json))
    )
      return { kind: 'idle', cursor: idleCursor(answer, body.json) ?? eventsCursor(answer, body.json) };
    return { kind: 'unreadable', why: "the body has no list where the profile's template has $events" };
  };
}

const statuses = ({ response: { idle, events } }: Profile): string =>
  [...new Set([events.status, idle.status])].join(' and ');

const isEmpty = ({ body }: LegacyAnswer): boolean => body === undefined || body.length === 0;

function parsedBody(answer: LegacyAnswer): { json: unknown } | { why: string } {
  if (isEmpty(answer)) return { why: `status ${answer.status} without a body` };
  try {
    return { json: parseExact((answer.body ?? '').toString()) };
  } catch {
    return { why: 'the body is not JSON' };
  }
}

function eventsPlace(body: Template | undefined): Getter | undefined {
  const leaf = leavesOf(body).find(({ value }) => value === '$events');
  return leaf && compileSteps(leaf.steps);
}

type ReadCursor = (answer: LegacyAnswer, json: unknown) => string | undefined;

/** Where the template has the cursor, in its body or a header; undefined answers where it has none. */
function cursorReader({ headers, body }: AnswerTemplate, wire: CursorWire): ReadCursor {
  const inBody = leavesOf(body).find(({ value }) => typeof value === 'string' && holdsCursor(value));
  if (inBody !== undefined) {
    const get = compileSteps(inBody.steps);
    const { before, after } = textPlace(String(inBody.value));
    return (_, json) => textValue(get(json), (text) => unwrapped(text, before, after, wire));
  }
  const inHeader = Object.entries(headers).find(([, text]) => holdsCursor(text));
  if (inHeader === undefined) return () => undefined;
  const { before, after } = textPlace(inHeader[1]);
  const name = inHeader[0].toLowerCase();
  return (answer) => textValue(answer.headers[name], (text) => unwrapped(text, before, after, wire));
}

function unwrapped(text: string, before: string, after: string, wire: CursorWire): string | undefined {
  const inner = between(text, before, after);
  return inner === undefined ? undefined : wire.unwrapped(inner);
}

function textValue(value: unknown, read: (text: string) => string | undefined): string | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' ? read(text) : undefined;
}

/** Many an old client takes the last item's id for its next cursor: where in an item that value stands. */
export function itemCursor(
  { request: { cursor }, response: { event } }: Profile,
  wire: CursorWire,
): ((item: unknown) => string | undefined) | undefined {
  const wanted = stepsOf(cursor.value);
  for (const { steps, value } of leavesOf(event)) {
    const place = typeof value === 'string' ? eventPlace(value) : undefined;
    if (place === undefined || place.form?.startsWith('epoch')) continue;
    const at = stepsOf(place.path);
    if (at.length > wanted.length || at.some((step, index) => step !== wanted[index])) continue;
    const get = compileSteps([...steps, ...wanted.slice(at.length)]);
    // Bare: the wrapping is the answer's, not the item's.
    return (item) => textValue(get(item), (text) => wire.canonical(text));
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
  const members = json as Record<string, unknown>;
  return Object.entries(template).every(([name, value]) =>
    isIdleBody(value, Object.hasOwn(members, name) ? members[name] : undefined),
  );
}

/** Every scalar of a template with its place, in order. */
export function leavesOf(template: Template | undefined, steps: readonly Step[] = []): Leaf[] {
  if (template === undefined) return [];
  if (template === null || typeof template !== 'object') return [{ steps, value: template }];
  if (Array.isArray(template)) return template.flatMap((item, index) => leavesOf(item, [...steps, index]));
  return Object.entries(template).flatMap(([name, value]) => leavesOf(value, [...steps, name]));
}
