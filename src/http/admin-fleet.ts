/**
 * What the nodes of a fleet ask each other for the admin API: how this node answers, and what the answers of all come to. An
 * answer in a form of another version counts as missing, like one that never came.
 */
import { z } from 'zod';
import { inSlices, nextTurn } from '../async/slices.ts';
import type { Clock } from '../clock.ts';
import {
  adminLimits,
  type MoveProgressBody,
  type NodeCounts,
  nodeCountsSchema,
  type SessionsBody,
  sessionsBodySchema,
  type ShadowBody,
  shadowNodeSchema,
  type ShadowSummary,
} from '../../schema/admin.ts';
import type { ConnectedByCohort, LiveSession, Sessions } from '../hub/sessions.ts';
import { sumShadows } from '../legacy/shadow/report.ts';
import { encodeCursor } from '../log/cursor.ts';
import type { Cohort } from '../../schema/http.ts';
import type { Fleet } from '../rollout/fleet/fleet.ts';
import type { Rollout } from '../rollout/rollout.ts';

const filterSchema = z.object({ org: z.string().optional(), user: z.string().optional() });

const fleetQuestionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('counts') }),
  filterSchema.extend({ kind: z.literal('sessions') }),
  z.object({ kind: z.literal('shadow') }),
  z.object({ kind: z.literal('drain'), node: z.string() }),
]);
export type FleetQuestion = z.infer<typeof fleetQuestionSchema>;

/** Absent: any. */
type SessionFilter = z.infer<typeof filterSchema>;

/** How long a node waits for the end of its own count, before it tells what it has: less than others wait for it. */
const countedWithinMs = 500;

export const isoTime = (ms: number): string => new Date(ms).toISOString();

interface FleetMember {
  readonly rollout: Rollout;
  readonly sessions: Sessions;
  readonly clock: Clock;
  /** Begins to drain this node; answers at once. */
  readonly drain: () => void;
  /** What the shadows have found here, by profile. */
  readonly shadows: () => Readonly<Record<string, ShadowSummary>>;
}

/**
 * From now on this node answers; until it does it is missing from what others tell. Every node answers every question: who
 * gives none is missing.
 */
export function joinFleet({ rollout, sessions, clock, drain, shadows }: FleetMember): void {
  rollout.fleet.serve((asked) => {
    const { data: question } = fleetQuestionSchema.safeParse(asked);
    switch (question?.kind) {
      case 'counts':
        return countHere(sessions, rollout);
      case 'sessions':
        return sessionsHere(sessions, question, rollout.nodeId, clock);
      case 'shadow':
        return shadows();
      case 'drain':
        if (question.node === rollout.nodeId) drain();
        return null;
      case undefined:
        return undefined;
    }
  });
}

/** Those connected to this node: read from counts that are kept, whoever and however many they are. */
async function countHere(sessions: Sessions, { mover, dueTimes }: Rollout): Promise<NodeCounts> {
  const { version: assignedBy, ...assigned } = await mover.assigned(countedWithinMs);
  const cohorts = cohortsOf(assigned, sessions.connected());
  const lastEndsAtMs = mover.movesEndAtMs;
  const progress = mover.progress();
  const inProgress = progress.reduce((sum, { left }) => sum + left, 0);
  const doneBy = inProgress > 0 && lastEndsAtMs !== undefined ? isoTime(lastEndsAtMs) : null;
  const movesInProgress = progress.map(({ endsAtMs, ...moves }) => ({
    ...moves,
    etaMs: endsAtMs === undefined ? null : Math.max(0, Math.round(endsAtMs - dueTimes.nowMs())),
    doneBy: endsAtMs === undefined ? null : isoTime(endsAtMs),
  }));
  return { cohorts, assignedBy, moves: { inProgress, doneBy }, movesInProgress };
}

const cohortsOf = (
  assigned: Record<Cohort, number>,
  connected: ConnectedByCohort,
): NodeCounts['cohorts'] => ({
  canary: { assigned: assigned.canary, connected: connected.canary },
  control: { assigned: assigned.control, connected: connected.control },
});

/** Those connected to this node. */
async function sessionsHere(
  sessions: Sessions,
  asked: SessionFilter,
  node: string,
  clock: Clock,
): Promise<SessionsBody> {
  const { org, user } = asked;
  const all = org !== undefined && user !== undefined ? sessions.ofUser(org, user) : sessions.all();
  const shown: SessionsBody['sessions'] = [];
  let more = false;
  await inSlices(all, clock, (session) => {
    if ((org !== undefined && session.org !== org) || (user !== undefined && session.sub !== user))
      return true;
    more = shown.length === adminLimits.sessions;
    if (!more) shown.push(sessionView(session, node));
    return !more;
  });
  return { sessions: shown, more, missing: [] };
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

/** What every node answers, and which answers are missing. */
async function askAll<T>(fleet: Fleet, question: FleetQuestion, form: z.ZodType<T>) {
  const { answers, missing } = await fleet.ask(question);
  const nodes: T[] = [];
  const unread: string[] = [];
  for (const [node, answer] of answers) {
    // Each may hold as many sessions as one answer shows.
    await nextTurn();
    const { success, data } = form.safeParse(answer);
    if (success) nodes.push(data);
    else unread.push(node);
  }
  return { nodes, missing: [...missing, ...unread].toSorted() };
}

const nobody = () => ({ assigned: 0, connected: { websocket: 0, 'long-poll': 0 } });

/** Counts of all nodes. */
export async function countFleet(fleet: Fleet): Promise<NodeCounts & { missing: string[] }> {
  const { nodes, missing } = await askAll(fleet, { kind: 'counts' }, nodeCountsSchema);
  const versions = nodes.flatMap((node) => node.assignedBy ?? []);
  const cohorts = { canary: nobody(), control: nobody() };
  for (const node of nodes)
    for (const name of ['canary', 'control'] as const) {
      const [sum, part] = [cohorts[name], node.cohorts[name]];
      sum.assigned += part.assigned;
      for (const transport of ['websocket', 'long-poll'] as const)
        sum.connected[transport] += part.connected[transport];
    }
  const inProgress = nodes.reduce((sum, { moves }) => sum + moves.inProgress, 0);
  // ISO times in one zone sort as text.
  const ends = nodes.flatMap(({ moves }) => moves.doneBy ?? []).toSorted();
  const movesInProgress = sumMoves(nodes.flatMap((node) => node.movesInProgress));
  return {
    cohorts,
    ...(versions.length > 0 && { assignedBy: Math.min(...versions) }),
    moves: { inProgress, doneBy: ends.at(-1) ?? null },
    movesInProgress,
    missing,
  };
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
  const profiles = Object.fromEntries(names.map((name) => [name, sumShadows(partsOf(name))]));
  return { profiles, missing };
}
