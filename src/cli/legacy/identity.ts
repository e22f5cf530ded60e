/** How the old API tells who asks: what a stranger gets, and what it says of the credential that was given. */
import { isDeepStrictEqual } from 'node:util';
import type { Profile } from '../../../schema/profile.ts';
import type { Dialect, LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { parseWhereItParses } from '../../legacy/dialect/exact-json.ts';
import { compilePath, isPath } from '../../legacy/dialect/json-path.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { bodyOf } from './answers.ts';
import type { OldApi } from './old-api.ts';

/** @param answer to the request of somebody without credentials */
export function anonymousFinding(dialect: Dialect, answer: LegacyAnswer): Finding {
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
export async function resolveFindings(api: OldApi, profile: Profile): Promise<Finding[]> {
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
