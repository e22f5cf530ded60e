/** What `turnout legacy check` finds: the file's faults, what it says by itself, and what the old API says to that. */
import { limits } from '../../../schema/codes.ts';
import type { Profile } from '../../../schema/profile.ts';
import { readProfile } from '../../legacy/profile/load.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import type { Terminal } from '../terminal.ts';
import { OldApi, parseHeaders, parseOldUrl } from './old-api.ts';
import { probeFindings } from './probe.ts';
import { sourceFindings } from './source.ts';

/** @throws CommandError where nothing answers at the URL, or an option is wrong */
export async function checkFile(
  terminal: Terminal,
  file: string,
  { url, header }: { readonly url?: string; readonly header?: readonly string[] },
): Promise<Finding[]> {
  const base = url === undefined ? undefined : parseOldUrl(url);
  const headers = parseHeaders(header);
  const { profile, problems, say } = readProfile(file, terminal.env);
  const found = problems.map((problem) => findingsAbout('profile')[problem.level](say(problem)));
  if (profile === undefined) return found;
  const means = [...found, ...profileFindings(profile)];
  if (base === undefined) return means;
  const probed = await probeFindings(new OldApi(terminal, base, headers), profile);
  const said = new Set(probed.map(({ message }) => message));
  const sources = await sourceFindings(terminal, profile);
  return [...means, ...probed, ...sources.filter(({ message }) => !said.has(message))];
}

/** What a profile says without asking anybody: what maps, what doesn't, and what that means. */
const profileFindings = ({ match, request, auth, source }: Profile): Finding[] => [
  findingsAbout('request').ok(
    `${match.method} ${match.path}: cursor from the ${request.cursor.in} ${request.cursor.name}, events of ${request.services.fixed.join(', ')}`,
  ),
  cursorFinding(request.cursor),
  request.cursor.absent === 'upstream'
    ? findingsAbout('no cursor').ok('a request without a cursor is always asked of the old backend')
    : findingsAbout('no cursor').warning(
        'a request without a cursor gets what comes from now on, and nothing of before',
      ),
  waitFinding(request.wait),
  authFinding(auth),
  sourceFinding(source),
];

/** What the formats mean that have no sure order, and what to do about it. */
const doubts: Readonly<Record<'string' | 'timestamp' | 'opaque', readonly [string, string?]>> = {
  string: [
    "string: ids have no order, so a client's place is found only while its event is in Turnout's log; older ones are passed to the old backend",
  ],
  timestamp: [
    'timestamps: two events of the same instant have one cursor: what joins an instant after it was answered is missed, with or without Turnout',
    'where the old API has an id too, let the cursor be that',
  ],
  opaque: [
    "opaque: a client that was served can't go back to the old backend without a gap: that backend doesn't know Turnout's cursors, so it is asked without them, as by a new client",
    'know what the old API gives a new client (all again, or nothing of before), or give the format that the old ids really have',
  ],
};

function cursorFinding({ format, value }: Profile['request']['cursor']): Finding {
  const { ok, warning } = findingsAbout('cursor');
  return format === 'integer' || format === 'stream-id'
    ? ok(`${format} from ${value}: clients go back and forth without loss or repeat`)
    : warning(...doubts[format]);
}

function waitFinding(wait: Profile['request']['wait']): Finding {
  const { ok, warning } = findingsAbout('wait');
  if (wait === undefined)
    return warning(
      `requests say nothing of it: they are held ${limits.pollWaitDefaultS} s`,
      'request.wait with a default that is what the old API does',
    );
  const given = `${wait.in} ${wait.name}, ${wait.default} ${wait.unit}`;
  return ok(`${given} unless it is given, at most ${wait.max}`);
}

function authFinding(auth: Profile['auth']): Finding {
  const { ok, warning } = findingsAbout('auth');
  if (auth === undefined)
    return warning("none: only clients with a token of Turnout's own are known", 'auth');
  const from = `${auth.from}${auth.name === undefined ? '' : ` ${auth.name}`}`;
  return ok(`${from}, ${auth.jwt === undefined ? 'asked of the old backend' : 'a JWT'}`);
}

function sourceFinding(source: Profile['source']): Finding {
  const { ok, warning } = findingsAbout('source');
  if (source === undefined)
    return warning(
      'none: events come by POST /v1/publish alone, and must bring the id that the old API gives them',
    );
  if (source.kind === 'redis-pubsub')
    return warning('pub/sub is lossy: what is published while no bridge listens never comes');
  return ok(source.kind);
}
