/** One answer of the old API beside the template that would write it: what a client would see differ. Pure. */
import type { Profile } from '../../../schema/profile.ts';
import { cursorWire } from '../../legacy/dialect/cursor.ts';
import { type Dialect, LegacyItemError, type LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { markedJson } from '../../legacy/dialect/exact-json.ts';
import { createDialect } from '../../legacy/dialect/profile-dialect.ts';
import { error, type Finding, warning } from '../findings.ts';
import { answerDifferences, eventDifferences, inexactDifferences, type ShapeDifferences } from './shape.ts';

type AnswerTemplate = Profile['response']['idle'];

/** Of the hop, of the server, or written by whoever serves. */
const ownHeaders = new Set(
  'date,connection,keep-alive,content-length,content-encoding,transfer-encoding,content-type,server,x-powered-by,vary,via,trailer,upgrade'.split(
    ',',
  ),
);

/** The body as JSON; undefined where it is none. With `parseExact` an id of twenty digits comes as text, but whole. */
export function bodyOf({ body }: LegacyAnswer, parse: (text: string) => unknown = JSON.parse): unknown {
  try {
    return body === undefined ? undefined : parse(body.toString());
  } catch {
    return undefined;
  }
}

export function answerFindings(
  about: string,
  { profile }: Dialect,
  template: AnswerTemplate,
  answer: LegacyAnswer,
): Finding[] {
  if (template.body === undefined) return [];
  const wire = cursorWire(profile.request.cursor);
  return differenceFindings(
    about,
    answerDifferences(template.body, bodyOf(answer), wire),
    `response.${about}.body`,
  );
}

export function eventsFindings(profile: Profile, answer: LegacyAnswer, items: readonly unknown[]): Finding[] {
  const { events, event } = profile.response;
  const dialect = createDialect(profile);
  return [
    ...answerFindings('events', dialect, events, answer),
    ...differenceFindings('event', eventDifferences(event, items), 'response.event'),
    ...inexactFindings(dialect, answer),
    ...headerFindings('events', events, answer),
    ...itemFindings(dialect, items),
  ];
}

function inexactFindings(dialect: Dialect, answer: LegacyAnswer): Finding[] {
  const body = Buffer.from(markedJson((answer.body ?? '').toString()));
  const reading = dialect.read({ ...answer, body });
  if (reading.kind !== 'events') return [];
  const unlike = inexactDifferences(dialect.profile.response.event, reading.items);
  return unlike.map((one) => error('event', one, 'response.event'));
}

function differenceFindings(about: string, found: ShapeDifferences, next: string): Finding[] {
  const { leftOut, added, unlike } = found;
  const list = (places: readonly string[]): string => places.join(', ');
  return [
    ...(leftOut.length > 0
      ? [warning(about, `the old API's body has fields that the template leaves out: ${list(leftOut)}`, next)]
      : []),
    ...(added.length > 0
      ? [warning(about, `the template has fields that the old API's body has not: ${list(added)}`, next)]
      : []),
    ...unlike.map((one) => error(about, one, next)),
  ];
}

export function headerFindings(about: string, template: AnswerTemplate, answer: LegacyAnswer): Finding[] {
  const names = Object.keys(template.headers).map((name) => name.toLowerCase());
  const missing = names.filter((name) => answer.headers[name] === undefined);
  const extra = Object.keys(answer.headers).filter((name) => !names.includes(name) && !ownHeaders.has(name));
  const next = `response.${about}.headers`;
  const type = answer.headers['content-type'];
  const isOtherType =
    template.body !== undefined &&
    !names.includes('content-type') &&
    type?.startsWith('application/json') !== true;
  return [
    ...(missing.length > 0 ? [error(about, `the old API has no header ${missing.join(', ')}`, next)] : []),
    ...(extra.length > 0
      ? [warning(about, `headers that the template leaves out: ${extra.join(', ')}`, next)]
      : []),
    ...(isOtherType
      ? [warning(about, 'the content type is not application/json', `${next}.content-type`)]
      : []),
  ];
}

/** Whether the bridge could read these very items. */
function itemFindings(dialect: Dialect, items: readonly unknown[]): Finding[] {
  const { source } = dialect.profile;
  if (source?.kind !== 'long-poll') return [];
  const faults = new Set<string>();
  for (const item of items)
    try {
      dialect.eventFrom(item);
    } catch (thrown) {
      if (!(thrown instanceof LegacyItemError)) throw thrown;
      faults.add(thrown.message);
    }
  return [...faults].map((message) => error('source', message, 'source'));
}
