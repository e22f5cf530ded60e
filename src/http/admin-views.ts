/** What the admin API shows: the rollout as it stands, and who is connected. Reads only. */
import { adminLimits, type RolloutBody, type SessionsBody } from '../../schema/admin.ts';
import { fail } from '../errors.ts';
import type { LiveSession, Sessions } from '../hub/sessions.ts';
import { encodeCursor } from '../log/cursor.ts';
import type { Decider } from '../rollout/decider.ts';
import { percentOf } from '../rollout/features.ts';
import type { Rollout } from '../rollout/rollout.ts';
import { isFlagOn, isKilled, rolloutPercent, type Rules } from '../rollout/rules.ts';

const isoTime = (ms: number): string => new Date(ms).toISOString();

/** The rules as this node holds them. @throws log_unavailable while it never read any */
export function rulesOf(rollout: Rollout): Rules {
  const rules = rollout.store.current();
  if (rules === undefined) throw fail('log_unavailable', 'this node has not read the rules yet');
  return rules;
}

export async function rolloutView(rollout: Rollout, sessions: Sessions): Promise<RolloutBody> {
  const rules = rulesOf(rollout);
  const { acks, laggards } = await rollout.store.acknowledged(rules.version, 0);
  const endsAtMs = rollout.mover.movesEndAtMs;
  return {
    version: rules.version,
    changedAt: isoTime(rules.changedAt),
    percent: rolloutPercent(rules),
    enabled: isFlagOn(rules),
    killed: isKilled(rules) || rollout.latch.isSet,
    killedBy: {
      rules: rules.kills.map((kill) => ({ ...kill, at: isoTime(kill.at) })),
      node: [...rollout.latch.causes()],
    },
    allowlist: [...rules.allowlist],
    denylist: [...rules.denylist],
    holdback: rules.holdback,
    flags: Object.fromEntries(
      rules.features.map((flag) => [flag.name, { enabled: flag.enabled, percent: percentOf(flag) }]),
    ),
    plan: null,
    paused: [...rules.pauses],
    acks,
    laggards: [...laggards],
    capped: rollout.control.cappedNodes(),
    ...countCohorts(sessions, rollout.decider, endsAtMs),
  };
}

const nobody = () => ({ assigned: 0, connected: { websocket: 0, 'long-poll': 0 } });

function countCohorts(
  sessions: Sessions,
  decider: Decider,
  endsAtMs: number | undefined,
): Pick<RolloutBody, 'cohorts' | 'moves'> {
  const cohorts = { canary: nobody(), control: nobody() };
  let inProgress = 0;
  for (const session of sessions.all()) {
    cohorts[session.cohort].connected[session.transport] += 1;
    cohorts[decider.decide(session).cohort].assigned += 1;
    if (session.isMoving) inProgress += 1;
  }
  const doneBy = inProgress > 0 && endsAtMs !== undefined ? isoTime(endsAtMs) : null;
  return { cohorts, moves: { inProgress, doneBy } };
}

/** Sessions of the user and the org asked for, where they were; at most as many as one answer may hold. */
export function sessionsView(
  sessions: Sessions,
  asked: { readonly org: string | undefined; readonly user: string | undefined },
): SessionsBody {
  const { org, user } = asked;
  const all = org !== undefined && user !== undefined ? sessions.ofUser(org, user) : sessions.all();
  const shown: SessionsBody['sessions'] = [];
  for (const session of all) {
    if ((org !== undefined && session.org !== org) || (user !== undefined && session.sub !== user)) continue;
    if (shown.length === adminLimits.sessions) return { sessions: shown, more: true };
    shown.push(sessionView(session));
  }
  return { sessions: shown, more: false };
}

function sessionView(session: LiveSession): SessionsBody['sessions'][number] {
  const position = session.position();
  return {
    connection: session.connection,
    org: session.org,
    user: session.sub,
    transport: session.transport,
    cohort: session.cohort,
    session: session.session ?? null,
    assignment: session.assignment ?? null,
    since: isoTime(session.sinceMs),
    isMoving: session.isMoving,
    cursor: position === undefined ? null : encodeCursor(position),
    seq: position?.seq ?? null,
    behind: session.behind(),
  };
}
