/** A node's part in the fleet: what it answers when another one asks for the admin API. */
import type { ShadowSummary } from '../../schema/admin.ts';
import type { Sessions } from '../hub/sessions.ts';
import type { Rollout } from '../rollout/rollout.ts';
import { countHere, sessionsHere } from './admin-views.ts';
import { fleetQuestionSchema } from './fleet-questions.ts';

export interface FleetMember {
  readonly rollout: Rollout;
  readonly sessions: Sessions;
  /** Begins to drain this node; answers at once. */
  readonly drain: () => void;
  /** What the shadows have found here, by profile. */
  readonly shadows: () => Readonly<Record<string, ShadowSummary>>;
}

/** From now on this node answers; until it does it is missing from what others tell. */
export function joinFleet(member: FleetMember): void {
  member.rollout.fleet.serve((question) => answerFleet(question, member));
}

/** What this node says when another one asks. Every node answers every question: who gives none is missing. */
function answerFleet(asked: unknown, { rollout, sessions, drain, shadows }: FleetMember): unknown {
  const parsed = fleetQuestionSchema.safeParse(asked);
  if (!parsed.success) return undefined;
  const question = parsed.data;
  switch (question.kind) {
    case 'counts':
      return countHere(sessions, rollout);
    case 'sessions':
      return sessionsHere(sessions, question, rollout.nodeId);
    case 'shadow':
      return shadows();
    case 'drain':
      if (question.node === rollout.nodeId) drain();
      return null;
    default:
      return question satisfies never;
  }
}
