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
  const connected = sessions?.map((session) => {
    const moving = session.isMoving ? ', told to move' : '';
    const elsewhere =
      session.transport === transport ? '' : ' (not what they are due: a move, or a client that cannot)';
    return `Connected to ${session.node} by ${session.transport} since ${sinceText(session.since, nowMs)}, ${session.behind} events behind${moving}${elsewhere}.`;
  });
  return [
    `${org}/${user} gets ${transport} (${cohort}, rules v${version}) because ${because(decision)}.`,
    ...(connected?.length === 0 ? ['Not connected now.'] : (connected ?? [])),
  ];
}

function because({ reason, bucket }: DecisionBody): string {
  const theirs = `their bucket ${bucket} of 10,000 is`;
  const from = `from ${((bucket + 1) / 100).toFixed(2)} % on`;
  const sentences: Readonly<Record<DecisionBody['reason'], string>> = {
    'kill-switch': 'the kill switch is on, which beats everything',
    denylist: 'they are on the denylist',
    unsupported: 'their client does not support WebSocket',
    'node-capped':
      'the node that answered is held at long-poll by its environment (`turnout rollout get` names the variable)',
    'flag-off': 'the flag is off',
    allowlist: 'they are on the allowlist, which does not ask for the percentage',
    override: 'their client forced it, and overrides are allowed',
    holdback: `${theirs} held back for comparison`,
    rollout: `${theirs} inside the percentage (they are in ${from})`,
    percent: `${theirs} not inside the percentage (they get WebSocket ${from})`,
    'flags-unavailable': 'the node that answered has no rules, or too old ones',
  };
  return sentences[reason];
}
