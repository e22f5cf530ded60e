/** Tries a profile against the real old API: asks as a client would, a handful of times, and compares what comes back. */
import type { Profile } from '../../../schema/profile.ts';
import { itemCursor } from '../../legacy/dialect/answers.ts';
import { cursorWire } from '../../legacy/dialect/cursor.ts';
import type { Dialect, LegacyReading } from '../../legacy/dialect/dialect.ts';
import { createDialect } from '../../legacy/dialect/profile-dialect.ts';
import { error, type Finding, ok, warning } from '../findings.ts';
import { answerFindings, eventsFindings, headerFindings } from './answers.ts';
import { anonymousFinding, resolveFindings } from './identity.ts';
import { askOldApi, type OldAnswer } from './old-api.ts';
import type { Terminal } from '../terminal.ts';

/** Long enough to tell an API that holds from one that doesn't. */
const waitMs = 1000;
const slackMs = 10_000;
/** For an API that holds as long as it likes. */
const longestMs = 70_000;
/** Answers with events in a row, on the way to an idle one. */
const maxTurns = 5;

interface Probe {
  readonly terminal: Terminal;
  readonly profile: Profile;
  readonly dialect: Dialect;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

interface Seen {
  readonly answer: OldAnswer;
  readonly reading: LegacyReading;
}

/** @param base the old backend, or a path and query of it. @throws CommandError where nothing answers */
export async function probeFindings(
  terminal: Terminal,
  profile: Profile,
  base: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Finding[]> {
  const url = new URL(base);
  if (url.pathname === '/') url.pathname = profile.match.path.replace(/\/?\*$/, '');
  const probe: Probe = { terminal, profile, dialect: createDialect(profile), url, headers };
  const found = await answeredFindings(probe);
  const isKnown = profile.auth !== undefined;
  return [...found, ...(isKnown ? await identityFindings(probe) : [])];
}

async function identityFindings(probe: Probe): Promise<Finding[]> {
  const { terminal, profile, dialect, headers } = probe;
  const stranger = await ask(probe, undefined, {});
  return [anonymousFinding(dialect, stranger.answer), ...(await resolveFindings(terminal, profile, headers))];
}

async function ask(probe: Probe, cursor: string | undefined, headers = probe.headers): Promise<Seen> {
  const { terminal, profile, dialect } = probe;
  const query = dialect.query(cursor, waitMs);
  const url = new URL(probe.url);
  for (const [name, value] of new URLSearchParams(query.search)) url.searchParams.set(name, value);
  if (cursor === undefined) url.searchParams.delete(profile.request.cursor.name);
  const answer = await askOldApi(terminal, {
    url,
    method: profile.match.method,
    headers: { ...headers, ...query.headers },
    body: query.body,
    timeoutMs: profile.request.wait === undefined ? longestMs : waitMs + slackMs,
  });
  return { answer, reading: dialect.read(answer) };
}

async function answeredFindings(probe: Probe): Promise<Finding[]> {
  const first = await ask(probe, undefined);
  if (first.reading.kind === 'unreadable') return [unreadable(first)];
  const full = first.reading.kind === 'events' ? first : await earliest(probe);
  if (full?.reading.kind !== 'events')
    return [
      ...idleFindings(probe, first),
      warning('events', 'none came: their shape is not tried', 'once more while there are some'),
    ];
  const { answer, reading } = full;
  return [
    ok('events', `status ${answer.status}, ${reading.items.length} events`),
    ...eventsFindings(probe.profile, answer, reading.items),
    ...(await cursorFindings(probe, reading.items, reading.cursor)),
    ...(reading.cursor === undefined ? idleFindings(probe, first) : await idleAfter(probe, reading.cursor)),
  ];
}

function unreadable({ answer, reading }: Seen): Finding {
  const why = reading.kind === 'unreadable' ? reading.why : '';
  const { status } = answer;
  if (status === 401 || status === 403)
    return error(
      'answer',
      `status ${status}: it doesn't know who asks`,
      "--header 'cookie: …', as a client sends it",
    );
  if (status >= 300 && status < 400 && status !== 304)
    return error(
      'answer',
      `status ${status}: it sends elsewhere, which Turnout doesn't follow`,
      'the address it leads to, as --url and upstream',
    );
  if (status === 404)
    return error('answer', 'status 404: there is no such path', 'match.path, or --url with a path');
  return error('answer', why, 'response: what the old API answers');
}

/** From the very first on, where the format has a beginning. */
async function earliest(probe: Probe): Promise<Seen | undefined> {
  const { format } = probe.profile.request.cursor;
  const beginnings = {
    integer: ['0'],
    'stream-id': ['0-0'],
    timestamp: ['0', '1970-01-01T00:00:00.000Z'],
    string: [],
    opaque: [],
  };
  for (const beginning of beginnings[format]) {
    const seen = await ask(probe, beginning);
    if (seen.reading.kind === 'events') return seen;
  }
  return undefined;
}

/** Whether the cursors mean what the profile says: after it, not from it on, and rising. */
async function cursorFindings(
  probe: Probe,
  items: readonly unknown[],
  next: string | undefined,
): Promise<Finding[]> {
  const { profile, dialect } = probe;
  if (next === undefined)
    return [
      error(
        'cursor',
        `nothing at its place in the format ${profile.request.cursor.format}`,
        '$cursor in response.events, and the format',
      ),
    ];
  const read = itemCursor(profile, cursorWire(profile.request.cursor));
  const cursors = items.map((item) => read?.(item));
  const [before] = cursors;
  if (read === undefined || before === undefined || items.length < 2) return [];
  const turns = cursors.slice(1).map((cursor, at) => dialect.compare(cursors[at] ?? '', cursor ?? ''));
  const found: Finding[] = [];
  if (turns.some((turn) => turn !== undefined && turn > 0))
    found.push(error('cursor', 'events come newest first: Turnout answers in the order in which they came'));
  if (turns.includes(0))
    found.push(
      warning(
        'cursor',
        'events share one cursor: a client that was given the first of them misses the others',
      ),
    );
  const { reading } = await ask(probe, before);
  const again = reading.kind === 'events' ? read(reading.items[0]) : undefined;
  if (again === before && !turns.includes(0))
    found.push(
      error(
        'cursor',
        'the old API answers from the cursor on, with the event that it names: Turnout answers what comes after it',
      ),
    );
  return found.length > 0 ? found : [ok('cursor', 'events after it, in order')];
}

async function idleAfter(probe: Probe, cursor: string): Promise<Finding[]> {
  let at = cursor;
  for (let turn = 0; turn < maxTurns; turn += 1) {
    const seen = await ask(probe, at);
    if (seen.reading.kind === 'unreadable') return [unreadable(seen)];
    if (seen.reading.kind === 'idle') return idleFindings(probe, seen);
    if (seen.reading.cursor === at || seen.reading.cursor === undefined)
      return [error('idle', 'the cursor of an answer brings the same events again')];
    at = seen.reading.cursor;
  }
  return [
    warning('idle', 'there were always events: the idle answer is not tried', 'once more when it is quiet'),
  ];
}

function idleFindings({ profile, dialect }: Probe, { answer }: Seen): Finding[] {
  const { idle } = profile.response;
  const { wait } = profile.request;
  const found: Finding[] = [];
  if (answer.status !== idle.status)
    found.push(error('idle', `answered ${answer.status} instead of ${idle.status}`, 'response.idle'));
  else if ((idle.body === undefined) !== (answer.body === undefined))
    found.push(
      error(
        'idle',
        idle.body === undefined
          ? 'has a body that the template leaves out'
          : 'has no body, where the template has one',
        'response.idle.body',
      ),
    );
  else found.push(...answerFindings('idle', dialect, idle, answer));
  found.push(...headerFindings('idle', idle, answer));
  if (answer.tookMs < waitMs / 2)
    found.push(
      warning(
        'idle',
        wait === undefined
          ? 'answered at once: the old API does not hold requests, and Turnout would'
          : `answered at once, where ${waitMs / 1000} s were asked for: the name or unit of request.wait may be another`,
      ),
    );
  const isFine = found.every(({ level }) => level === 'ok');
  return isFine ? [ok('idle', `status ${answer.status}`), ...found] : found;
}
