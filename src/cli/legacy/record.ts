/** Proposes a profile from two answers of an old API: one with events where there are any, and an idle one. */
import { stringify } from 'yaml';
import { checkProfile } from '../../legacy/profile/problems.ts';
import { CommandError } from '../exits.ts';
import { examine, findParameters, type Found, itemsAt, templateOf } from './detect.ts';
import { bodyOf, type OldAnswer, type OldApi } from './old-api.ts';
import { answerOf, authOf, eventOf, requestOf, sourceOf } from './proposal.ts';

/** @param api with an address as a client asks it. @throws CommandError where nothing answers, or what answers is no JSON */
export async function recordProfile(api: OldApi, name: string) {
  const { url } = api;
  const parameters = findParameters(url.searchParams);
  const notes: string[] = [];
  const first = await api.ask({});
  const { status } = first;
  if (status >= 400 || (status >= 300 && status !== 304))
    throw new CommandError('usage', `the old API answers ${status}: nothing to learn a profile from`, {
      hint:
        status === 401 || status === 403
          ? "--header 'cookie: …', as a client sends it"
          : 'another address; an API that is polled by POST is described by hand',
    });
  const found = examine(url, first, parameters.cursor, notes);
  const idle = await askIdle(api, found, parameters.wait);
  if (idle === undefined) notes.push('response.idle is a guess: no idle answer was seen');
  const profile = {
    name,
    match: { method: 'GET', path: url.pathname },
    upstream: url.origin,
    ...authOf(api, notes),
    request: requestOf(api, parameters, found, notes),
    response: {
      idle: idle === undefined ? { status: 204 } : answerOf(idle, found),
      events: first.body === undefined ? { status: 200, body: '$events' } : answerOf(first, found),
      event: eventOf(found),
      ...(await errorOf(api)),
    },
    source: sourceOf(api, found),
  };
  const problems = checkProfile(profile).problems.map(({ path, message }) => `${path.join('.')}: ${message}`);
  return {
    yaml: stringify(profile, { lineWidth: 110 }),
    profile,
    /** What to look at by hand. */
    notes: [...notes, ...problems],
  };
}

/** What comes when nothing does: asked at the end of what there is. */
async function askIdle(api: OldApi, found: Found, wait: string | undefined): Promise<OldAnswer | undefined> {
  const { cursor, value, list } = found;
  if (value === undefined) return undefined;
  const url = new URL(api.url);
  const text = cursor.wrap.replace('{}', value);
  if (cursor.in === 'query') url.searchParams.set(cursor.name, text);
  if (wait !== undefined) url.searchParams.set(wait, '1');
  const sent = cursor.in === 'header' ? { [cursor.name.toLowerCase()]: text } : {};
  const answer = await api.ask({ url, headers: { ...api.headers, ...sent } });
  return answer.status >= 400 || itemsAt(list, bodyOf(answer)).length > 0 ? undefined : answer;
}

/** What somebody gets whom it doesn't know. */
async function errorOf(api: OldApi): Promise<{ error?: object }> {
  if (Object.keys(api.headers).length === 0) return {};
  const answer = await api.ask({ headers: {} });
  const { status } = answer;
  if (status < 400 || status >= 500) return {};
  const body = bodyOf(answer);
  return { error: { [status]: { status, ...(body !== undefined && { body: templateOf(body) }) } } };
}
