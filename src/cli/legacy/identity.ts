/** How the old API tells who asks: what a stranger gets, and what it says of the credential that was given. */
import { isDeepStrictEqual } from 'node:util';
import type { Profile } from '../../../schema/profile.ts';
import type { Dialect, LegacyAnswer } from '../../legacy/dialect/dialect.ts';
import { parseWhereItParses } from '../../legacy/dialect/exact-json.ts';
import { compilePath, isPath } from '../../legacy/dialect/json-path.ts';
import { error, type Finding, ok, warning } from '../findings.ts';
import { bodyOf } from './answers.ts';
import { askOldApi } from './old-api.ts';
import type { Terminal } from '../terminal.ts';

const timeoutMs = 10_000;

/** JSON by what it says, however it is spaced; anything else letter by letter. */
function readingOf(body: Buffer | undefined): unknown {
  return body === undefined ? undefined : parseWhereItParses(body.toString());
}

/** @param answer to the request of somebody without credentials */
export function anonymousFinding(dialect: Dialect, answer: LegacyAnswer): Finding {
  const { status } = answer;
  if (dialect.read(answer).kind !== 'unreadable')
    return warning(
      'errors',
      `answered ${status} to a request without credentials: does auth name the right place?`,
    );
  const known = dialect.profile.response.error[String(status)];
  if (known === undefined) return ok('errors', `who isn't known is answered ${status} by the old backend`);
  const ours = dialect.error(status)?.body;
  const [same, other] = [ours, answer.body].map((body) => readingOf(body));
  return isDeepStrictEqual(same, other)
    ? ok('errors', `${status} reads the same`)
    : warning('errors', `${status} has another body than the profile's`, `response.error.${status}.body`);
}

/** Asks who the given credential is, as the profile says to. */
export async function resolveFindings(
  terminal: Terminal,
  profile: Profile,
  headers: Readonly<Record<string, string>>,
): Promise<Finding[]> {
  const resolve = profile.auth?.resolve;
  if (resolve === undefined || Object.keys(headers).length === 0) return [];
  const next = 'auth.resolve';
  try {
    const answer = await askOldApi(terminal, { url: new URL(resolve.url), headers, timeoutMs });
    if (answer.status >= 300) return [error('auth', `who it is, was answered ${answer.status}`, next)];
    const body = bodyOf(answer);
    const names = (['user', 'org'] as const).filter((name) => {
      const place = resolve[name];
      return isPath(place) && !['string', 'number'].includes(typeof compilePath(place)(body));
    });
    if (names.length === 0) return [ok('auth', 'the old backend says who it is')];
    return names.map((name) =>
      error('auth', `the answer has no ${name} at ${resolve[name]}`, `auth.resolve.${name}`),
    );
  } catch (thrown) {
    return [warning('auth', thrown instanceof Error ? thrown.message : 'no answer', next)];
  }
}
