/** Proposes a profile from two answers of an old API: one with events where there are any, and an idle one. */
import { stringify } from 'yaml';
import { parseExact } from '../../legacy/dialect/exact-json.ts';
import { compileSteps } from '../../legacy/dialect/json-path.ts';
import { profileProblems } from '../../legacy/profile/problems.ts';
import { parseShape } from '../../legacy/profile/shape.ts';
import { CommandError } from '../exits.ts';
import { bodyOf } from './answers.ts';
import { findCursor, findFields, findList, findParameters, formatOf, templateOf } from './detect.ts';
import { askOldApi, type OldAnswer, parseHeader, parseOldUrl } from './old-api.ts';
import { answerOf, authOf, eventOf, type Found, requestOf, sourceOf, type Steps } from './proposal.ts';
import type { Terminal } from '../terminal.ts';

export interface RecordTarget {
  readonly url: string;
  readonly header?: readonly string[];
  readonly name: string;
}

export interface Proposal {
  readonly yaml: string;
  readonly profile: unknown;
  /** What to look at by hand. */
  readonly notes: readonly string[];
}

const timeoutMs = 70_000;

/** @throws CommandError where nothing answers, or what answers is no JSON */
export async function recordProfile(terminal: Terminal, target: RecordTarget): Promise<Proposal> {
  const url = parseOldUrl(target.url);
  const headers = Object.fromEntries((target.header ?? []).map(parseHeader));
  const parameters = findParameters(url.searchParams);
  const notes: string[] = [];
  const first = await askOldApi(terminal, { url, headers, timeoutMs });
  if (first.status >= 400 || (first.status >= 300 && first.status !== 304))
    throw new CommandError('usage', `the old API answers ${first.status}: nothing to learn a profile from`, {
      hint:
        first.status === 401 || first.status === 403
          ? "--header 'cookie: …', as a client sends it"
          : 'another address; an API that is polled by POST is described by hand',
    });
  const given = url.searchParams.get(parameters.cursor ?? '') ?? undefined;
  const found = examine(first, parameters.cursor, given, notes);
  const idle = await askIdle(terminal, url, headers, found, parameters.wait);
  if (idle === undefined) notes.push('response.idle is a guess: no idle answer was seen');
  const profile = {
    name: target.name,
    match: { method: 'GET', path: url.pathname },
    upstream: url.origin,
    ...authOf(headers, url, notes),
    request: requestOf(url, parameters, found, notes),
    response: {
      idle: idle === undefined ? { status: 204 } : answerOf(idle, found),
      events: first.body === undefined ? { status: 200, body: '$events' } : answerOf(first, found),
      event: eventOf(found),
      ...(await errorOf(terminal, url, headers)),
    },
    source: sourceOf(headers, found),
  };
  return { profile, notes: [...notes, ...problemsOf(profile)], yaml: stringify(profile, { lineWidth: 110 }) };
}

function examine(
  answer: OldAnswer,
  parameter: string | undefined,
  given: string | undefined,
  notes: string[],
): Found {
  const body = bodyOf(answer, parseExact);
  if (answer.body !== undefined && body === undefined)
    throw new CommandError('usage', 'the old API answers with something else than JSON');
  const list = findList(body);
  const listed = list === undefined ? undefined : compileSteps(list)(body);
  const items = Array.isArray(listed) ? (listed as unknown[]) : [];
  if (items.length === 0)
    notes.push(
      'no events were seen: their list and fields are guesses; once more with a cursor that has some after it',
    );
  const inBody = findCursor(body, items.at(-1));
  const etag =
    parameter === undefined ? /^(?:W\/)?"(.*)"$/.exec(answer.headers['etag'] ?? '')?.[1] : undefined;
  const seen = etag ?? inBody?.value;
  const fields = findFields(items.at(-1), seen === undefined ? undefined : String(seen), given);
  const last =
    fields.cursor === undefined ? undefined : (items.at(-1) as Record<string, unknown>)[fields.cursor];
  const value = seen ?? (typeof last === 'string' || typeof last === 'number' ? last : undefined);
  const format = value === undefined ? 'string' : formatOf(value, fields.cursor ?? '');
  if (value === undefined) notes.push('no cursor was found: request.cursor is a guess');
  return {
    list,
    items,
    cursor:
      etag === undefined
        ? { in: 'query', name: parameter ?? 'since', wrap: '{}' }
        : { in: 'header', name: 'If-None-Match', wrap: '"{}"' },
    value: value === undefined ? undefined : String(value),
    format,
    place: etag === undefined ? inBody?.steps : undefined,
    word:
      isText(answer, inBody?.steps) && format !== 'string' && format !== 'stream-id'
        ? '$cursor:text'
        : '$cursor',
    fields,
  };
}

/** Whether a text stands there; long numbers are looked at as they are. */
const isText = (answer: OldAnswer, steps: Steps | undefined): boolean =>
  steps !== undefined && typeof compileSteps(steps)(bodyOf(answer)) === 'string';

/** What comes when nothing does: asked at the end of what there is. */
async function askIdle(
  terminal: Terminal,
  url: URL,
  headers: Readonly<Record<string, string>>,
  { cursor, value, list }: Found,
  wait: string | undefined,
): Promise<OldAnswer | undefined> {
  if (value === undefined) return undefined;
  const next = new URL(url);
  const text = cursor.wrap.replace('{}', value);
  if (cursor.in === 'query') next.searchParams.set(cursor.name, text);
  if (wait !== undefined) next.searchParams.set(wait, '1');
  const sent = cursor.in === 'header' ? { ...headers, [cursor.name.toLowerCase()]: text } : headers;
  const answer = await askOldApi(terminal, { url: next, headers: sent, timeoutMs });
  if (answer.status >= 400) return undefined;
  const items = list === undefined ? undefined : compileSteps(list)(bodyOf(answer));
  return Array.isArray(items) && items.length > 0 ? undefined : answer;
}

/** What somebody gets whom it doesn't know. */
async function errorOf(
  terminal: Terminal,
  url: URL,
  headers: Readonly<Record<string, string>>,
): Promise<{ error?: object }> {
  if (Object.keys(headers).length === 0) return {};
  const answer = await askOldApi(terminal, { url, timeoutMs });
  const body = bodyOf(answer);
  if (answer.status < 400 || answer.status >= 500) return {};
  const { status } = answer;
  return { error: { [status]: { status, ...(body !== undefined && { body: templateOf(body, []) }) } } };
}

function problemsOf(profile: unknown): string[] {
  const shape = parseShape(profile);
  const problems = 'name' in shape ? profileProblems(shape) : shape;
  return problems.map(({ path, message }) => `${path.join('.')}: ${message}`);
}
