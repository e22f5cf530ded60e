/** The rollout for a person at three in the morning: what is happening, since when, why, and what to do next. Pure. */
import type { ChangeAnswer, RolloutBody } from '../../../schema/admin.ts';
import type { AuditEntry } from '../../../schema/audit.ts';
import { transportFlag } from '../../rollout/rules/features.ts';
import { momentText, sinceText, spanText } from '../spans.ts';

const namesShown = 10;

/** Every node that the rollout knows of. */
const nodesOf = ({ acks, laggards }: Pick<RolloutBody, 'acks' | 'laggards'>): string[] =>
  [...new Set([...Object.keys(acks), ...laggards])].toSorted();

/** True where no node can serve WebSocket, whatever the rules say. */
export function isCappedEverywhere(answer: Pick<ChangeAnswer, 'acks' | 'laggards' | 'capped'>): boolean {
  const capped = new Set((answer.capped ?? []).map(({ node }) => node));
  return capped.size > 0 && nodesOf(answer).every((node) => capped.has(node));
}

/** One word and one sentence: the worst thing that holds. */
function headline(body: RolloutBody): string {
  const { percent, moves } = body;
  if (body.killed) return 'KILLED    everybody is sent to long-poll, whatever the percentage says';
  if (!body.rules.up)
    return 'CUT OFF   the rules cannot be read: this is what one node holds, others may have been told otherwise';
  if (isCappedEverywhere(body)) return 'CAPPED    every node is held at long-poll by its own environment';
  if (!body.enabled)
    return `OFF       the flag is off: nobody gets WebSocket (the percentage is ${percent} %)`;
  if (body.paused.length > 0) return `PAUSED    at ${percent} %: who is connected stays where they are`;
  if (moves.inProgress > 0) return `MOVING    to ${percent} %: ${moves.inProgress} connections still to move`;
  return `STEADY    ${percent} % of users get WebSocket`;
}

/** @param audit newest first; empty where it could not be read. */
export function rolloutLines(body: RolloutBody, audit: readonly AuditEntry[], nowMs: number): string[] {
  /** `, set 2026-01-01 00:00:00Z (5 min ago) by ann: "step 3"`, by the newest entry of these actions. */
  const lastChange = (...actions: readonly AuditEntry['action'][]): string => {
    const entry = audit.find(({ action }) => actions.includes(action));
    return entry === undefined ? '' : `, set ${sinceText(entry.at, nowMs)} ${byWhom(entry)}`;
  };
  const { rules } = body;
  const away = rules.up ? '' : `; cannot be read now: ${rules.detail}`;
  const others = Object.entries(body.flags).filter(([name]) => name !== transportFlag);
  return [
    headline(body),
    ...(body.killed ? killLines(body, lastChange('kill'), nowMs) : []),
    row('rules', `v${body.version}, changed ${sinceText(body.changedAt, nowMs)}${away}`),
    row('percent', `${body.percent} %${lastChange('percent', 'start')}`),
    row('flag', `${onOff(body.enabled)}${lastChange('enabled', 'start')}`),
    ...body.paused.map((cause) => row('paused', `by ${cause}${lastChange('pause')}`)),
    row('nodes', nodesText(body)),
    ...cappedLines(body.capped),
    ...cohortLines(body),
    ...body.missing.map((node) => row('unheard', `${node}: who is connected to it is not counted`)),
    row('moves', movesText(body, nowMs)),
    row('allowlist', namesText(body.allowlist)),
    row('denylist', namesText(body.denylist)),
    ...(body.holdback > 0 ? [row('holdback', `${body.holdback} %`)] : []),
    ...others.map(([name, flag]) => row('flag', `${name}: ${onOff(flag.enabled)}, ${flag.percent} %`)),
    row('next', nextStep(body)),
  ];
}

const row = (name: string, text: string): string => `${name.padEnd(10)}${text}`;
const onOff = (isOn: boolean): string => (isOn ? 'on' : 'off');

/** Causes that the node which answered has heard of, and the rules have not. */
function killsOnlyHere({ killedBy }: Pick<RolloutBody, 'killedBy'>): string[] {
  const inRules = new Set(killedBy.rules.map(({ id }) => id));
  return killedBy.node.filter((cause) => !inRules.has(cause));
}

function killLines({ killedBy }: RolloutBody, lastKill: string, nowMs: number): string[] {
  return [
    ...killedBy.rules.map(
      (kill) => `by the rules, on every node, since ${sinceText(kill.at, nowMs)}, ${byWhom(kill)}`,
    ),
    ...killsOnlyHere({ killedBy }).map((cause) =>
      cause.includes('/')
        ? `on the node that answered, by its kill file ${cause}`
        : `on the node that answered, by kill ${cause}: the rules don't have it, others may not know${lastKill}`,
    ),
  ].map((text) => row('killed', text));
}

const byWhom = ({ who, reason }: { who: string; reason: string }): string => `by ${who}: "${reason}"`;

export function nodesText(answer: Pick<RolloutBody, 'version' | 'acks' | 'laggards'>): string {
  const { version, acks, laggards } = answer;
  const nodes = nodesOf(answer);
  const followed = `${nodes.length - laggards.length}/${nodes.length} have v${version}`;
  if (laggards.length === 0) return followed;
  const behind = laggards.map(
    (node) => `${node} (${acks[node] === undefined ? 'silent' : `at v${acks[node]}`})`,
  );
  return `${followed}; behind: ${behind.join(', ')}`;
}

export const cappedLines = (capped: RolloutBody['capped']): string[] =>
  capped.map(({ node, variables }) => row('capped', `${node} by ${variables.join(' and ')}`));

const cells = (...texts: readonly (string | number)[]): string =>
  texts.map((text) => String(text).padStart(11)).join('');

function cohortLines({ cohorts, assignedBy, version }: RolloutBody): string[] {
  const isOld = assignedBy !== undefined && assignedBy < version;
  const note = isOld ? `  (assigned: by v${assignedBy}; v${version} is being counted)` : '';
  return [
    row('connected', `${cells('assigned', 'websocket', 'long-poll')}${note}`),
    ...(['canary', 'control'] as const).map((cohort) => {
      const { assigned, connected } = cohorts[cohort];
      return row(`  ${cohort}`, cells(assigned, connected.websocket, connected['long-poll']));
    }),
  ];
}

function movesText({ moves, movesInProgress }: RolloutBody, nowMs: number): string {
  if (movesInProgress.length > 0) return movesInProgress.map(progressText).join('; ');
  if (moves.inProgress === 0) return 'none in progress';
  if (moves.doneBy === null) return `${moves.inProgress} in progress`;
  const leftMs = Date.parse(moves.doneBy) - nowMs;
  return `${moves.inProgress} in progress, done by ${momentText(moves.doneBy)} (in ${spanText(leftMs)})`;
}

/** `120 of 300 moved to long-poll, 180 left, done in 12 s`. */
export function progressText({ to, done, left, etaMs }: RolloutBody['movesInProgress'][number]): string {
  const end = etaMs === null ? 'held by a pause' : `done in ${spanText(etaMs)}`;
  return `${done} of ${done + left} moved to ${to}, ${left} left, ${end}`;
}

function namesText(names: readonly string[]): string {
  if (names.length === 0) return 'empty';
  const more = names.length > namesShown ? ` and ${names.length - namesShown} more` : '';
  return `${names.length}: ${names.slice(0, namesShown).join(', ')}${more}`;
}

function nextStep(body: RolloutBody): string {
  const file = body.killedBy.node.find((cause) => cause.includes('/'));
  if (body.killed && file !== undefined)
    return `once the cause is found: \`turnout kill --local --undo\` on that node (or rm ${file})`;
  if (body.killed && !body.rules.up && killsOnlyHere(body).length > 0)
    return 'until Redis is back, on every other node: turnout kill --local; `turnout doctor` says what is wrong';
  if (body.killed) return "once the cause is found: turnout rollout unkill --reason '…'";
  if (!body.rules.up)
    return 'bring Redis back: `turnout doctor` on a node; to stop WebSocket meanwhile: turnout kill --local on each';
  const variables = new Set(body.capped.flatMap((node) => node.variables));
  if (isCappedEverywhere(body)) return `unset ${[...variables].join(' and ')} on the nodes and restart them`;
  if (!body.enabled) return "to turn it on: turnout rollout enable --reason '…'";
  if (body.laggards.length > 0) return `see why ${body.laggards.join(', ')} lags: \`turnout doctor\` on it`;
  if (body.paused.length > 0) return "to go on: turnout rollout resume --reason '…'";
  if (body.moves.inProgress > 0) return 'wait until the moves are done: turnout rollout get -w';
  return "nothing needs you; back at once: turnout rollout kill --reason '…'";
}
