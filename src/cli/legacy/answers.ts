/** One answer of the old API beside the template that would write it: what a client would see differ. Pure. */
import type { Profile } from '../../../schema/profile.ts';
import { cursorWire } from '../../legacy/dialect/cursor-wire.ts';
import { type Dialect, LegacyItemError, type LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { markedJson } from '../../legacy/dialect/exact-json.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { jsonIn } from '../gateway-client.ts';
import { answerDifferences, eventDifferences, inexactDifferences, type ShapeDifferences } from './shape.ts';

/** The templates of answers. */
type Named = 'idle' | 'events';

/** Of the hop, of the server, or written by whoever serves. */
const ownHeaders = new Set(
  'date,connection,keep-alive,content-length,content-encoding,transfer-encoding,content-type,server,x-powered-by,vary,via,trailer,upgrade'.split(
    ',',
  ),
);
/** As many as one is told of. */
const some = (places: ReadonlySet<string>): string[] => [...places].slice(0, 20);

/** The body as JSON; undefined where it is none. With `parseExact` an id of twenty digits comes as text, but whole. */
export const bodyOf = ({ body }: LegacyAnswer, parse?: (text: string) => unknown): unknown =>
  body === undefined ? undefined : jsonIn(body.toString(), parse);

export function bodyFindings(name: Named, { request, response }: Profile, answer: LegacyAnswer): Finding[] {
  const { body } = response[name];
  if (body === undefined) return [];
  const found = answerDifferences(body, bodyOf(answer), cursorWire(request.cursor));
  return differenceFindings(name, found, `response.${name}.body`);
}

export function eventsFindings(dialect: Dialect, answer: LegacyAnswer, items: readonly unknown[]): Finding[] {
  const { profile } = dialect;
  const { event } = profile.response;
  return [
    ...bodyFindings('events', profile, answer),
    ...differenceFindings('event', eventDifferences(event, items), 'response.event'),
    ...inexactFindings(dialect, answer),
    ...headerFindings('events', profile, answer),
    ...itemFindings(dialect, items),
  ];
}

function inexactFindings(dialect: Dialect, answer: LegacyAnswer): Finding[] {
  const body = Buffer.from(markedJson((answer.body ?? '').toString()));
  const reading = dialect.read({ ...answer, body });
  if (reading.kind !== 'events') return [];
  const unlike = some(inexactDifferences(dialect.profile.response.event, reading.items));
  return unlike.map((one) => findingsAbout('event').error(one, 'response.event'));
}

function differenceFindings(name: string, found: ShapeDifferences, next: string): Finding[] {
  const { warning, error } = findingsAbout(name);
  const { leftOut, added, unlike } = found;
  const findings: Finding[] = [];
  if (leftOut.size > 0)
    findings.push(
      warning(
        `the old API's body has fields that the template leaves out: ${some(leftOut).join(', ')}`,
        next,
      ),
    );
  if (added.size > 0)
    findings.push(
      warning(`the template has fields that the old API's body has not: ${some(added).join(', ')}`, next),
    );
  return [...findings, ...some(unlike).map((one) => error(one, next))];
}

export function headerFindings(name: Named, { response }: Profile, answer: LegacyAnswer): Finding[] {
  const { warning, error } = findingsAbout(name);
  const { headers, body } = response[name];
  const names = Object.keys(headers).map((header) => header.toLowerCase());
  const missing = names.filter((header) => answer.headers[header] === undefined);
  const extra = Object.keys(answer.headers).filter((one) => !names.includes(one) && !ownHeaders.has(one));
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

/** What keeps an item from being an event; undefined: nothing does. @param needsOrg its source's reader or key names none */
export function itemFault(dialect: Dialect, item: unknown, needsOrg = false): string | undefined {
  try {
    const { org } = dialect.eventFrom(item);
    return needsOrg && org === undefined ? 'an item names no org' : undefined;
  } catch (thrown) {
    if (!(thrown instanceof LegacyItemError)) throw thrown;
    return thrown.message;
  }
}
