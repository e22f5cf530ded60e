/** What a change to the rollout came to: who follows it, who doesn't, and what that means. Pure. */
import type { ChangeAnswer, RolloutBody } from '../../../schema/admin.ts';
import { legacyServeFlag } from '../../rollout/rules/features.ts';
import type { Exit } from '../exits.ts';
import { cappedLines, isCappedEverywhere, nodesText, progressText } from './view.ts';
import { spanText } from '../spans.ts';

/** `partial` where the change doesn't hold everywhere: a script must not go on as if it did. */
export function exitOfChange(answer: ChangeAnswer): Exit {
  const holds = answer.written && answer.laggards.length === 0 && !isCappedEverywhere(answer);
  return holds ? 'done' : 'partial';
}

/**
 * @param did the change in the past tense: `percent set to 12.5 %`
 * @param after the rollout as it was read afterwards; undefined where that failed
 * @param flag the flag that was changed, where it isn't the one that gives WebSocket
 */
export function changeLines(
  did: string,
  answer: ChangeAnswer,
  tookMs: number,
  after: RolloutBody | undefined,
  flag?: string,
): string[] {
  const lines = [`${did}: v${answer.version}, ${nodesText(answer)}, ${spanText(tookMs)}`];
  if (!answer.written)
    lines.push(
      'NOT WRITTEN: the node that answered obeys, the others have not been told',
      'next      on every other node: turnout kill --local',
    );
  // What was not written nobody could follow: nothing is wrong with them.
  if (answer.written && answer.laggards.length > 0)
    lines.push(
      `next      look at ${answer.laggards.join(', ')}: \`turnout doctor\` there; they follow once they can`,
    );
  lines.push(...cappedLines(answer.capped ?? []));
  if (isCappedEverywhere(answer))
    lines.push(
      '          every node is capped: nobody gets WebSocket until the variables are unset and the nodes restarted',
    );
  return [...lines, ...whatHoldsItBack(after, flag)];
}

/** Why a change may show no effect though it was made. */
function whatHoldsItBack(after: RolloutBody | undefined, flag: string | undefined): string[] {
  if (after === undefined) return [];
  if (flag !== undefined) return whatHoldsFlagBack(after, flag);
  const { doneBy, inProgress } = after.moves;
  const { movesInProgress } = after;
  const lines: string[] = [];
  if (after.killed)
    lines.push('note      the kill switch is on: everybody is at long-poll until it is undone');
  else if (!after.enabled) lines.push("note      the flag is off: turnout rollout enable --reason '…'");
  else if (after.paused.length > 0)
    lines.push('note      moves are paused: who is connected stays; newcomers get the new decision');
  if (movesInProgress.length > 0) lines.push(`moves     ${movesInProgress.map(progressText).join('; ')}`);
  else if (inProgress > 0)
    lines.push(`moves     ${inProgress} in progress${doneBy === null ? '' : `, done by ${doneBy}`}`);
  return lines;
}

/** Another flag depends on its own switch, never on who gets WebSocket; a kill ends what is served of an old API, too. */
function whatHoldsFlagBack({ killed, flags }: RolloutBody, flag: string): string[] {
  if (killed && flag === legacyServeFlag)
    return ['note      the kill switch is on: the old backend answers everybody until it is undone'];
  if (flags[flag]?.enabled !== false) return [];
  return [`note      ${flag} is off: turnout rollout flag ${flag} --on --reason '…'`];
}
