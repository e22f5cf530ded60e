/** What the admin API shows: the rollout as it stands, and who is connected. Reads only. */
import type { z } from 'zod';
import {
  adminLimits,
  type MoveProgressBody,
  type NodeCounts,
  nodeCountsSchema,
  type RolloutBody,
  type SessionsBody,
  sessionsBodySchema,
  type ShadowBody,
  shadowNodeSchema,
} from '../../schema/admin.ts';
import { fail } from '../errors.ts';
import type { LiveSession, Sessions } from '../hub/sessions.ts';
import { sumShadows } from '../legacy/shadow/report.ts';
import { encodeCursor } from '../log/cursor.ts';
import { percentOf } from '../rollout/rules/features.ts';
import type { Fleet } from '../rollout/fleet/fleet.ts';
import type { FleetQuestion, SessionFilter } from './fleet-questions.ts';
import type { Rollout } from '../rollout/rollout.ts';
import { isFlagOn, isKilled, rolloutPercent, type Rules } from '../rollout/rules/rules.ts';

const isoTime = (ms: number): string => new Date(ms).toISOString();

/** The rules as this node holds them. @throws log_unavailable while it never read any */
function rulesOf(rollout: Rollout): Rules {
  const rules = rollout.store.current();
  if (rules === undefined) throw fail('log_unavailable', 'this node has not read the rules yet');
  return rules;
}

/** Counts are summed over the nodes; the rules are those that this node holds. */
export async function rolloutView(rollout: Rollout): Promise<RolloutBody> {
  const rules = rulesOf(rollout);
  const [{ acks, laggards, capped }, { cohorts, moves, movesInProgress, missing }] = await Promise.all([
    rollout.store.acknowledged(rules.version, 0),
    countFleet(rollout.fleet),
  ]);
  const health = rollout.store.health();
  return {
    version: rules.version,
    rules: { up: health.isUp, detail: health.detail },
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
    capped: [...capped],
    cohorts,
    moves,
    movesInProgress,
    missing,
  };
}

const nobody = () => ({ assigned: 0, connected: { websocket: 0, 'long-poll': 0 } });

/** Those connected to this node. */
export function countHere(sessions: Sessions, { decider, mover, dueTimes }: Rollout): NodeCounts {
  const cohorts = { canary: nobody(), control: nobody() };
  const lastEndsAtMs = mover.movesEndAtMs;
  for (const session of sessions.all()) {
    cohorts[session.cohort].connected[session.transport] += 1;
    cohorts[decider.decide(session).cohort].assigned += 1;
  }
  const inProgress = mover.progress().reduce((sum, { left }) => sum + left, 0);
  const doneBy = inProgress > 0 && lastEndsAtMs !== undefined ? isoTime(lastEndsAtMs) : null;
  const movesInProgress = mover.progress().map(({ endsAtMs, ...moves }) => ({
    ...moves,
    etaMs: endsAtMs === undefined ? null : Math.max(0, Math.round(endsAtMs - dueTimes.nowMs())),
    doneBy: endsAtMs === undefined ? null : isoTime(endsAtMs),
  }));
  return { cohorts, moves: { inProgress, doneBy }, movesInProgress };
}

/** The moves of all nodes as one: done when the last node's are, never while one of them holds its own. */
function sumMoves(parts: readonly MoveProgressBody[]): MoveProgressBody[] {
  return (['websocket', 'long-poll'] as const).flatMap((from) => {
    const [first, ...others] = parts.filter((part) => part.from === from);
    if (first === undefined) return [];
    return [
      others.reduce((sum, part) => {
        const isHeld = sum.etaMs === null || part.etaMs === null;
        const later = (part.etaMs ?? 0) > (sum.etaMs ?? 0) ? part : sum;
        return {
          ...sum,
          done: sum.done + part.done,
          left: sum.left + part.left,
          etaMs: isHeld ? null : later.etaMs,
          doneBy: isHeld ? null : later.doneBy,
        };
      }, first),
    ];
  });
}

/** What every node answers. One that answers in a form of another version is missing, like one that is silent. */
async function askAll<T>(
  fleet: Fleet,
  question: FleetQuestion,
  form: z.ZodType<T>,
): Promise<{ readonly nodes: readonly T[]; readonly missing: string[] }> {
  const { answers, missing } = await fleet.ask(question);
  const nodes: T[] = [];
  const unread: string[] = [];
  for (const [node, answer] of answers) {
    const { success, data } = form.safeParse(answer);
    if (success) nodes.push(data);
    else unread.push(node);
  }
  return { nodes, missing: [...missing, ...unread].toSorted() };
}

async function countFleet(fleet: Fleet): Promise<NodeCounts & { missing: string[] }> {
  const { nodes, missing } = await askAll(fleet, { kind: 'counts' }, nodeCountsSchema);
  const cohorts = { canary: nobody(), control: nobody() };
  let inProgress = 0;
  let doneBy: string | null = null;
  const parts: MoveProgressBody[] = [];
  for (const node of nodes) {
    parts.push(...node.movesInProgress);
    for (const name of ['canary', 'control'] as const) {
      const [sum, part] = [cohorts[name], node.cohorts[name]];
      sum.assigned += part.assigned;
      for (const transport of ['websocket', 'long-poll'] as const)
        sum.connected[transport] += part.connected[transport];
    }
    inProgress += node.moves.inProgress;
    // ISO times in one zone sort as text.
    if (node.moves.doneBy !== null && (doneBy === null || node.moves.doneBy > doneBy))
      doneBy = node.moves.doneBy;
  }
  return {
    cohorts,
    moves: { inProgress, doneBy },
    movesInProgress: sumMoves(parts),
    missing,
  };
}

/** Sessions of the user and the org asked for, wherever they are; at most as many as one answer may hold. */
export async function sessionsView(fleet: Fleet, asked: SessionFilter): Promise<SessionsBody> {
  const { nodes, missing } = await askAll(fleet, { kind: 'sessions', ...asked }, sessionsBodySchema);
  const found = nodes.flatMap(({ sessions }) => sessions);
  return {
    sessions: found.slice(0, adminLimits.sessions),
    more: found.length > adminLimits.sessions || nodes.some(({ more }) => more),
    missing,
  };
}

/** What the shadows of all nodes have found, by profile. */
export async function shadowView(fleet: Fleet): Promise<ShadowBody> {
  const { nodes, missing } = await askAll(fleet, { kind: 'shadow' }, shadowNodeSchema);
  const names = [...new Set(nodes.flatMap((node) => Object.keys(node)))].toSorted();
  const partsOf = (name: string) => nodes.flatMap((node) => node[name] ?? []);
  return {
    profiles: Object.fromEntries(names.map((name) => [name, sumShadows(partsOf(name))])),
    missing,
  };
}

/** Those connected to this node. */
export function sessionsHere(sessions: Sessions, asked: SessionFilter, node: string): SessionsBody {
  const { org, user } = asked;
  const all = org !== undefined && user !== undefined ? sessions.ofUser(org, user) : sessions.all();
  const shown: SessionsBody['sessions'] = [];
  for (const session of all) {
    if ((org !== undefined && session.org !== org) || (user !== undefined && session.sub !== user)) continue;
    if (shown.length === adminLimits.sessions) return { sessions: shown, more: true, missing: [] };
    shown.push(sessionView(session, node));
  }
  return { sessions: shown, more: false, missing: [] };
}

function sessionView(session: LiveSession, node: string): SessionsBody['sessions'][number] {
  const position = session.position();
  return {
    node,
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
