/** What a profile's templates say that can't be meant. */
import { envelopeSchema } from '../../../schema/envelope.ts';
import type { Profile } from '../../../schema/profile.ts';
import { itemCursor } from '../dialect/answers.ts';
import { cursorWire, holdsCursor } from '../dialect/cursor.ts';
import { stepsOf } from '../dialect/json-path.ts';
import { fault, type ProfilePath, type ProfileProblem, suggestion, warn } from './problem.ts';
import { type AnswerTemplate, eventForms, eventPlace, leavesOf, type Template } from '../dialect/template.ts';

/** The envelope's own; others are there only where a publisher adds them. */
export const envelopeFields = Object.keys(envelopeSchema.shape);

export function templateProblems(profile: Profile): ProfileProblem[] {
  const { idle, events, event, error } = profile.response;
  return [
    ...answerProblems(['response', 'idle'], idle, ['$events', '$cursor']),
    ...answerProblems(['response', 'events'], events, ['$events', '$cursor']),
    ...Object.entries(error).flatMap(([status, template]) =>
      answerProblems(['response', 'error', status], template, []),
    ),
    ...eventProblems(event),
    ...eventsPlaceProblems(events),
    ...cursorPlaceProblems(profile),
  ];
}

function eventProblems(event: Template): ProfileProblem[] {
  return leavesOf(event).flatMap(({ steps, value }) => {
    if (typeof value !== 'string' || !value.startsWith('$') || value.startsWith('$$')) return [];
    const path = ['response', 'event', ...steps];
    const place = eventPlace(value);
    const forms = eventForms.join(', :');
    const cure = `begins with $ and is no path such as $.payload, nor one with :${forms}; a text that begins with $ is written $$`;
    if (place === undefined) return [fault(path, cure)];
    const [root] = stepsOf(place.path);
    if (root === undefined || envelopeFields.includes(String(root))) return [];
    const meant = suggestion(String(root), envelopeFields);
    return [warn(path, `the envelope has no field of that name, unless a publisher adds it${meant}`)];
  });
}

function answerProblems(
  path: ProfilePath,
  { status, headers, body }: AnswerTemplate,
  words: readonly string[],
): ProfileProblem[] {
  const bodyProblems = leavesOf(body).flatMap(({ steps, value }) =>
    typeof value === 'string' ? wordProblems([...path, 'body', ...steps], value, words) : [],
  );
  const headerProblems = Object.entries(headers).flatMap(([name, value]) => {
    const at = [...path, 'headers', name];
    if (/[\r\n]/.test(value)) return [fault(at, 'a header has one line')];
    if (/^(content-length|transfer-encoding|connection)$/i.test(name))
      return [fault(at, 'Turnout writes this header itself: leave it out')];
    const inHeaders = words.filter((word) => word === '$cursor');
    return wordProblems(at, value, inHeaders);
  });
  const found = [...bodyProblems, ...headerProblems];
  if ((status === 204 || status === 304) && body !== undefined)
    found.push(fault([...path, 'body'], `an answer with status ${status} has no body: leave it out`));
  return found;
}

function wordProblems(path: ProfilePath, text: string, words: readonly string[]): ProfileProblem[] {
  const isLiteral = text.startsWith('$$') || !(text.startsWith('$') || text.includes('$cursor'));
  if (isLiteral) return [];
  const isKnown = words.some((word) =>
    word === '$events' ? text === word : /\$cursor(?![A-Za-z0-9_.[])/.test(text),
  );
  if (isKnown) return [];
  const may =
    words.length === 0 ? 'nothing of the answer can stand here' : `here may stand ${words.join(' and ')}`;
  return [fault(path, `${may}${suggestion(text, words)}; a text that begins with $ is written $$`)];
}

function eventsPlaceProblems({ status, body }: AnswerTemplate): ProfileProblem[] {
  const path = ['response', 'events', 'body'];
  const places = leavesOf(body).filter(({ value }) => value === '$events').length;
  if (places === 1) return [];
  const found = places === 0 ? `has no $events: nobody would get an event` : 'has $events more than once';
  return [fault(path, `the body of status ${status} ${found}`)];
}

const hasCursor = ({ headers, body }: AnswerTemplate): boolean =>
  [...Object.values(headers), ...leavesOf(body).map(({ value }) => value)].some(
    (value) => typeof value === 'string' && holdsCursor(value),
  );

function cursorPlaceProblems(profile: Profile): ProfileProblem[] {
  const { cursor } = profile.request;
  if (hasCursor(profile.response.events)) return [];
  const path = ['response', 'events'];
  if (cursor.format === 'opaque')
    return [fault(path, "no $cursor: a client can't know the opaque cursor that it is to come back with")];
  if (itemCursor(profile, cursorWire(cursor)) !== undefined) return [];
  const message = `no $cursor, and response.event doesn't hold ${cursor.value}: nothing tells a client its next cursor`;
  return [warn(path, message)];
}
