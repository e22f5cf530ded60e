/** Why a user gets the transport they get, in a sentence. Pure. */
import type { DecisionBody, SessionsBody } from '../../../schema/admin.ts';
import { sinceText } from '../spans.ts';

/** @param sessions where the user is connected now; undefined where that could not be read. */
export function decisionLines(
  decision: DecisionBody,
  sessions: SessionsBody['sessions'] | undefined,
  nowMs: number,
): string[] {
  const { org, user, transport, cohort, version } = decision;
  return [
    `${org}/${user} gets ${transport} (${cohort}, rules v${version}) because ${because(decision)}.`,
    ...connectedLines(decision, sessions, nowMs),
  ];
}

function because({ reason, bucket }: DecisionBody): string {
  const from = `${((bucket + 1) / 100).toFixed(2)} %`;
  switch (reason) {
    case 'kill-switch':
      return 'the kill switch is on, which beats everything';
    case 'denylist':
      return 'they are on the denylist';
    case 'unsupported':
      return 'their client does not support WebSocket';
    case 'node-capped':
      return 'the node that answered is held at long-poll by its environment (`turnout rollout get` names the variable)';
    case 'flag-off':
      return 'the flag is off';
    case 'allowlist':
      return 'they are on the allowlist, which does not ask for the percentage';
    case 'override':
      return 'their client forced it, and overrides are allowed';
    case 'holdback':
      return `their bucket ${bucket} of 10,000 is held back for comparison`;
    case 'rollout':
      return `their bucket ${bucket} of 10,000 is inside the percentage (they are in from ${from} on)`;
    case 'percent':
      return `their bucket ${bucket} of 10,000 is not inside the percentage (they get WebSocket from ${from} on)`;
    case 'flags-unavailable':
      return 'the node that answered has no rules, or too old ones';
  }
}

function connectedLines(
  { transport }: DecisionBody,
  sessions: SessionsBody['sessions'] | undefined,
  nowMs: number,
): string[] {
  if (sessions === undefined) return [];
  if (sessions.length === 0) return ['Not connected now.'];
  return sessions.map((session) => {
    const moving = session.isMoving ? ', told to move' : '';
    const elsewhere =
      session.transport === transport ? '' : ' (not what they are due: a move, or a client that cannot)';
    return `Connected to ${session.node} by ${session.transport} since ${sinceText(session.since, nowMs)}, ${session.behind} events behind${moving}${elsewhere}.`;
  });
}
