/** What a profile says by itself, without asking anybody: what maps, what doesn't, and what that means. Pure. */
import { limits } from '../../../schema/codes.ts';
import type { Profile } from '../../../schema/profile.ts';
import { type Finding, ok, warning } from '../findings.ts';

export const profileFindings = (profile: Profile): Finding[] => [
  requestFinding(profile),
  cursorFinding(profile),
  ...absentFindings(profile),
  waitFinding(profile),
  authFinding(profile),
  sourceFinding(profile),
];

function requestFinding({ match, request: { cursor, services } }: Profile): Finding {
  const names = services.fixed.join(', ');
  return ok(
    'request',
    `${match.method} ${match.path}: cursor from the ${cursor.in} ${cursor.name}, events of ${names}`,
  );
}

function cursorFinding({ request: { cursor } }: Profile): Finding {
  switch (cursor.format) {
    case 'integer':
    case 'stream-id':
      return ok(
        'cursor',
        `${cursor.format} from ${cursor.value}: clients go back and forth without loss or repeat`,
      );
    case 'string':
      return warning(
        'cursor',
        "string: ids have no order, so a client's place is found only while its event is in Turnout's log; older ones are passed to the old backend",
      );
    case 'timestamp':
      return warning(
        'cursor',
        'timestamps: two events of the same instant have one cursor: what joins an instant after it was answered is missed, with or without Turnout',
        'where the old API has an id too, let the cursor be that',
      );
    case 'opaque':
      return warning(
        'cursor',
        "opaque: a client that was served can't go back to the old backend without a gap: that backend doesn't know Turnout's cursors, so it is asked without them, as by a new client",
        'know what the old API gives a new client (all again, or nothing of before), or give the format that the old ids really have',
      );
  }
}

function absentFindings({ request: { cursor } }: Profile): Finding[] {
  if (cursor.absent === 'upstream')
    return [ok('no cursor', 'a request without a cursor is always asked of the old backend')];
  return [
    warning('no cursor', 'a request without a cursor gets what comes from now on, and nothing of before'),
  ];
}

function waitFinding({ request: { wait } }: Profile): Finding {
  if (wait === undefined)
    return warning(
      'wait',
      `requests say nothing of it: they are held ${limits.pollWaitDefaultS} s`,
      'request.wait with a default that is what the old API does',
    );
  return ok(
    'wait',
    `${wait.in} ${wait.name}, ${wait.default} ${wait.unit} unless it is given, at most ${wait.max}`,
  );
}

function authFinding({ auth }: Profile): Finding {
  if (auth === undefined)
    return warning('auth', "none: only clients with a token of Turnout's own are known", 'auth');
  const from = `${auth.from}${auth.name === undefined ? '' : ` ${auth.name}`}`;
  return ok('auth', `${from}, ${auth.jwt === undefined ? 'asked of the old backend' : 'a JWT'}`);
}

function sourceFinding({ source }: Profile): Finding {
  if (source === undefined)
    return warning(
      'source',
      'none: events come by POST /v1/publish alone, and must bring the id that the old API gives them',
    );
  if (source.kind === 'redis-pubsub')
    return warning('source', 'pub/sub is lossy: what is published while no bridge listens never comes');
  return ok('source', source.kind);
}
