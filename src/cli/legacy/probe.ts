/** Tries a profile against the real old API: asks as a client would, a handful of times, and compares what comes back. */
import { isDeepStrictEqual } from 'node:util';
import type { Profile } from '../../../schema/profile.ts';
import { itemCursor } from '../../legacy/dialect/answers.ts';
import { cursorWire } from '../../legacy/dialect/cursor.ts';
import type { Dialect } from '../../legacy/dialect/dialect.ts';
import { parseWhereItParses } from '../../legacy/dialect/exact-json.ts';
import { compilePath, isPath } from '../../legacy/dialect/json-path.ts';
import { createDialect } from '../../legacy/dialect/profile-dialect.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { bodyFindings, eventsFindings, headerFindings } from './answers.ts';
import { bodyOf, type OldAnswer, type OldApi } from './old-api.ts';

/** Long enough to tell an API that holds from one that doesn't. */
const waitMs = 1000;
const slackMs = 10_000;
/** Answers with events in a row, on the way to an idle one. */
const maxTurns = 5;

type Probe = ReturnType<typeof probeOf>;

function probeOf(api: OldApi, profile: Profile) {
  const dialect = createDialect(profile);
  const { match, request } = profile;
  /** @param sent the credentials that were given, unless others are named */
  const ask = async (cursor: string | undefined, sent = api.headers) => {
    const query = dialect.query(cursor, waitMs);
    const url = new URL(api.url);
    if (url.pathname === '/') url.pathname = match.path.replace(/\/?\*$/, '');
    for (const [name, value] of new URLSearchParams(query.search)) url.searchParams.set(name, value);
    if (cursor === undefined) url.searchParams.delete(request.cursor.name);
    const headers = { ...sent, ...query.headers };
    // Without a wait it holds as long as it likes.
    const within = request.wait === undefined ? {} : { timeoutMs: waitMs + slackMs };
    const answer = await api.ask({ url, method: match.method, headers, body: query.body, ...within });
    return { answer, reading: dialect.read(answer) };
  };
  return { profile, dialect, ask };
}

/** @throws CommandError where nothing answers */
export async function probeFindings(api: OldApi, profile: Profile): Promise<Finding[]> {
  const probe = probeOf(api, profile);
  const found = await answeredFindings(probe);
  if (profile.auth === undefined) return found;
  const { answer } = await probe.ask(undefined, {});
  return [...found, anonymousFinding(probe.dialect, answer), ...(await resolveFindings(api, profile))];
}

async function answeredFindings(probe: Probe): Promise<Finding[]> {
  const { ok, warning } = findingsAbout('events');
  const first = await probe.ask(undefined);
  if (first.reading.kind === 'unreadable') return [unreadable(first.answer, first.reading.why)];
  const full = first.reading.kind === 'events' ? first : await earliest(probe);
  if (full?.reading.kind !== 'events')
    return [
      ...idleFindings(probe, first.answer),
      warning('none came: their shape is not tried', 'once more while there are some'),
    ];
  const { answer, reading } = full;
  return [
    ok(`status ${answer.status}, ${reading.items.length} events`),
    ...eventsFindings(probe.dialect, answer, reading.items),
    ...(await cursorFindings(probe, reading.items, reading.cursor)),
    ...(reading.cursor === undefined
      ? idleFindings(probe, first.answer)
      : await idleAfter(probe, reading.cursor)),
  ];
}

function unreadable({ status }: OldAnswer, why: string): Finding {
  const { error } = findingsAbout('answer');
  if (status === 401 || status === 403)
    return error(`status ${status}: it doesn't know who asks`, "--header 'cookie: …', as a client sends it");
  if (status >= 300 && status < 400 && status !== 304)
    return error(
      `status ${status}: it sends elsewhere, which Turnout doesn't follow`,
      'the address it leads to, as --url and upstream',
    );
  if (status === 404) return error('status 404: there is no such path', 'match.path, or --url with a path');
  return error(why, 'response: what the old API answers');
}

/** Where a format has a beginning. */
const beginnings: Readonly<Record<Profile['request']['cursor']['format'], readonly string[]>> = {
  integer: ['0'],
  'stream-id': ['0-0'],
  timestamp: ['0', '1970-01-01T00:00:00.000Z'],
  string: [],
  opaque: [],
};

/** From the very first on. */
async function earliest({ profile, ask }: Probe) {
  for (const beginning of beginnings[profile.request.cursor.format]) {
    const seen = await ask(beginning);
    if (seen.reading.kind === 'events') return seen;
  }
  return undefined;
}

/** Whether the cursors mean what the profile says: after it, not from it on, and rising. */
async function cursorFindings(
  { profile, dialect, ask }: Probe,
  items: readonly unknown[],
  next: string | undefined,
): Promise<Finding[]> {
  const { ok, warning, error } = findingsAbout('cursor');
  const { cursor } = profile.request;
  const nowhere = `nothing at its place in the format ${cursor.format}`;
  if (next === undefined) return [error(nowhere, '$cursor in response.events, and the format')];
  const read = itemCursor(profile, cursorWire(cursor));
  const cursors = items.map((item) => read?.(item));
  const [before] = cursors;
  if (read === undefined || before === undefined || items.length < 2) return [];
  const turns = cursors.slice(1).map((one, at) => dialect.compare(cursors[at] ?? '', one ?? ''));
  const found: Finding[] = [];
  if (turns.some((turn) => turn !== undefined && turn > 0))
    found.push(error('events come newest first: Turnout answers in the order in which they came'));
  if (turns.includes(0))
    found.push(
      warning('events share one cursor: a client that was given the first of them misses the others'),
    );
  const { reading } = await ask(before);
  const again = reading.kind === 'events' ? read(reading.items[0]) : undefined;
  if (again === before && !turns.includes(0))
    found.push(
      error(
        'the old API answers from the cursor on, with the event that it names: Turnout answers what comes after it',
      ),
    );
  return found.length > 0 ? found : [ok('events after it, in order')];
}

async function idleAfter(probe: Probe, cursor: string): Promise<Finding[]> {
  const { warning, error } = findingsAbout('idle');
  let at = cursor;
  for (let turn = 0; turn < maxTurns; turn += 1) {
    const { answer, reading } = await probe.ask(at);
    if (reading.kind === 'unreadable') return [unreadable(answer, reading.why)];
    if (reading.kind === 'idle') return idleFindings(probe, answer);
    if (reading.cursor === at || reading.cursor === undefined)
      return [error('the cursor of an answer brings the same events again')];
    at = reading.cursor;
  }
  return [warning('there were always events: the idle answer is not tried', 'once more when it is quiet')];
}

function idleFindings({ profile }: Probe, answer: OldAnswer): Finding[] {
  const { ok, warning, error } = findingsAbout('idle');
  const { idle } = profile.response;
  const found: Finding[] = [];
  if (answer.status !== idle.status)
    found.push(error(`answered ${answer.status} instead of ${idle.status}`, 'response.idle'));
  else if (idle.body === undefined && answer.body !== undefined)
    found.push(error('has a body that the template leaves out', 'response.idle.body'));
  else if (idle.body !== undefined && answer.body === undefined)
    found.push(error('has no body, where the template has one', 'response.idle.body'));
  else found.push(...bodyFindings('idle', profile, answer));
  found.push(...headerFindings('idle', profile, answer));
  if (answer.tookMs < waitMs / 2)
    found.push(
      warning(
        profile.request.wait === undefined
          ? 'answered at once: the old API does not hold requests, and Turnout would'
          : `answered at once, where ${waitMs / 1000} s were asked for: the name or unit of request.wait may be another`,
      ),
    );
  return found.length > 0 ? found : [ok(`status ${answer.status}`)];
}

/** @param answer to the request of somebody without credentials */
function anonymousFinding(dialect: Dialect, answer: OldAnswer): Finding {
  const { ok, warning } = findingsAbout('errors');
  const { status } = answer;
  if (dialect.read(answer).kind !== 'unreadable')
    return warning(`answered ${status} to a request without credentials: does auth name the right place?`);
  if (!Object.hasOwn(dialect.profile.response.error, status))
    return ok(`who isn't known is answered ${status} by the old backend`);
  // JSON by what it says, however it is spaced; anything else letter by letter.
  const [ours, theirs] = [dialect.error(status)?.body, answer.body].map(
    (body) => body && parseWhereItParses(body.toString()),
  );
  return isDeepStrictEqual(ours, theirs)
    ? ok(`${status} reads the same`)
    : warning(`${status} has another body than the profile's`, `response.error.${status}.body`);
}

/** Asks who the given credential is, as the profile says to. */
async function resolveFindings(api: OldApi, profile: Profile): Promise<Finding[]> {
  const { ok, warning, error } = findingsAbout('auth');
  const resolve = profile.auth?.resolve;
  if (resolve === undefined || Object.keys(api.headers).length === 0) return [];
  const next = 'auth.resolve';
  try {
    const answer = await api.ask({ url: new URL(resolve.url), timeoutMs: 10_000 });
    if (answer.status >= 300) return [error(`who it is, was answered ${answer.status}`, next)];
    const body = bodyOf(answer);
    const names = (['user', 'org'] as const).filter((name) => {
      const place = resolve[name];
      return isPath(place) && !['string', 'number'].includes(typeof compilePath(place)(body));
    });
    if (names.length === 0) return [ok('the old backend says who it is')];
    return names.map((name) => error(`the answer has no ${name} at ${resolve[name]}`, `${next}.${name}`));
  } catch (thrown) {
    return [warning(thrown instanceof Error ? thrown.message : 'no answer', next)];
  }
}
