/**
 * The changes whose moves may still be under way: the window of each, fixed once by the node that writes it (docs/PROTOCOL.md,
 * 9), and what the rules said before it. How many users move is an estimate from the connections of the fleet; see
 * `usersMoved`. Pure.
 */
import { type Feature, percentOf, transportFlag, withPercent } from './features.ts';
import {
  areMovesHeld,
  endOf,
  featureOf,
  isFlagOn,
  isKilled,
  isSameInJson,
  type Kill,
  type ListDiff,
  type OpenChange,
  rolloutPercent,
  type Rules,
} from './rules.ts';

/** Who is connected to the fleet. Connections, not people: each is a poll that a kill brings. */
export interface Connected {
  readonly streams: number;
  /** Held polls of clients that can move up. */
  readonly polls: number;
}

export interface Pace {
  readonly connected: () => Connected;
  /** Users a second. */
  readonly moveRate: number;
  readonly killWindowMs: number;
  /** Polls a second. */
  readonly pollCapacity: number;
  /** How long a stream stays after a `migrate` that is no kill's. */
  readonly moveWithinMs: number;
}

export type Stay = Pick<Pace, 'killWindowMs' | 'moveWithinMs'>;

const killedWithinMs = 1000;

/** What decisions depend on. */
type Deciding = Pick<Rules, 'features' | 'allowlist' | 'denylist' | 'holdback' | 'kills'>;
type Paced = Deciding & Pick<Rules, 'pauses'>;

/** Past this the oldest is forgotten, and its moves fall due: the document must not grow with an operator's impatience. */
const maxOpen = 32;

export const killWindowOf = ({ killWindowMs, pollCapacity }: Pace, users: number): number =>
  Math.max(killWindowMs, Math.round((users / pollCapacity) * 1000));

/** How long a stream stays open after `migrate`. A killed user has waited for their moment already: a second, at most. */
export const stayOf = ({ killWindowMs, moveWithinMs }: Stay, isKill: boolean): number =>
  isKill ? Math.min(killWindowMs, killedWithinMs) : moveWithinMs;

/** The first moves at once, so one user alone has no window. */
export const moveWindowOf = ({ moveRate }: Pace, users: number): number =>
  Math.round((Math.max(0, users - 1) / moveRate) * 1000);

interface Write {
  readonly version: number;
  /** By the store's clock. */
  readonly nowMs: number;
  readonly isUnkill: boolean;
}

/** The changes that are open once `after` takes the place of `before`, and since when a pause has held them. */
export function openChangesAfter(
  before: Rules,
  after: Paced & Partial<Pick<Rules, 'openChanges'>>,
  write: Write,
  pace: Pace,
): Pick<Rules, 'openChanges' | 'pausedAt'> {
  const standing = resumed(after.openChanges ?? before.openChanges, before, after, write.nowMs);
  const made = changeBetween(before, after, write, pace);
  const isPaused = areMovesHeld(after);
  const open = [...standing, ...(made === undefined ? [] : [made])].filter(
    (change) => isPaused || endOf(change) > write.nowMs,
  );
  const pausedAt = isPaused ? (before.pausedAt ?? write.nowMs) : undefined;
  return { openChanges: open.slice(-maxOpen), ...(pausedAt !== undefined && { pausedAt }) };
}

/** After a pause moves go on where they stood: what it held is moved on by its length, or all would fall due at once. */
function resumed(
  open: readonly OpenChange[],
  before: Rules,
  after: Paced,
  nowMs: number,
): readonly OpenChange[] {
  const { pausedAt } = before;
  // A pause never held a rollback: its moves have gone on all the while.
  if (pausedAt === undefined || areMovesHeld(after) || !serves(after) || rolloutPercent(after) === 0)
    return open;
  return open.map((change) => {
    const isRollback = change.kills.length > 0 || change.before.denylist !== undefined;
    const heldMs = isRollback ? 0 : Math.max(0, nowMs - Math.max(pausedAt, change.changedAt));
    return { ...change, changedAt: change.changedAt + heldMs };
  });
}

/** Undefined: no decision depends on what has changed. */
function changeBetween(
  before: Rules,
  after: Deciding,
  { version, nowMs, isUnkill }: Write,
  pace: Pace,
): OpenChange | undefined {
  const known = new Set(before.kills.map(({ id }) => id));
  const kills = after.kills.map(({ id }) => id).filter((id) => !known.has(id));
  const feature = featureOf(before, transportFlag);
  const allowlist = diffOf(before.allowlist, after.allowlist);
  const denylist = diffOf(before.denylist, after.denylist);
  const past = {
    ...(feature !== undefined && !isSameInJson(feature, featureOf(after, transportFlag)) && { feature }),
    // An unkill may end a kill that only one node heard: there it brings people back all the same.
    ...((isUnkill || isKilled(before) !== isKilled(after)) && { isKilled: isUnkill || isKilled(before) }),
    ...(before.holdback !== after.holdback && { holdback: before.holdback }),
    ...(allowlist && { allowlist }),
    ...(denylist && { denylist }),
  };
  if (Object.keys(past).length === 0 && kills.length === 0) return undefined;
  const { to, users } = usersMoved(before, after, isUnkill, pace.connected(), past);
  const windowMs = kills.length > 0 ? killWindowOf(pace, users) : moveWindowOf(pace, users);
  return { assignment: version, changedAt: nowMs, windowMs, to, users, kills, before: past };
}

function diffOf(before: readonly string[], after: readonly string[]): ListDiff | undefined {
  const [was, is] = [new Set(before), new Set(after)];
  const added = after.filter((entry) => !was.has(entry));
  const removed = before.filter((entry) => !is.has(entry));
  return added.length + removed.length === 0 ? undefined : { added, removed };
}

const serves = (rules: Deciding): boolean => !isKilled(rules) && isFlagOn(rules);

/** The part of all users whom the rules give WebSocket, lists apart. */
const shareOf = (rules: Deciding): number =>
  serves(rules) ? Math.min(rolloutPercent(rules), 100 - rules.holdback) / 100 : 0;

/**
 * How many connections a change moves, about: of the open streams the part whose share is taken away, or of the polls that
 * can move up the part whose share is given, and those whom the lists name anew.
 */
function usersMoved(
  before: Deciding,
  after: Deciding,
  isUnkill: boolean,
  { streams, polls }: Connected,
  { allowlist, denylist }: OpenChange['before'],
): Pick<OpenChange, 'to' | 'users'> {
  if (!serves(after)) return { to: 'long-poll', users: streams };
  const [was, is] = [isUnkill ? 0 : shareOf(before), shareOf(after)];
  const isUp = is > was || (serves(before) !== serves(after) && is >= was);
  const part = is < was ? (streams * (was - is)) / was : is > was ? (polls * (is - was)) / (1 - was) : 0;
  const changed = [allowlist, denylist].flatMap((diff) =>
    diff ? [...diff.added, ...diff.removed] : [],
  ).length;
  // Whom the allowlist names comes back too when the flag or the kill goes.
  const listed = changed + (serves(before) && !isUnkill ? 0 : after.allowlist.length);
  const goesDown = is === was && (denylist?.added.length ?? 0) > 0;
  const users = Math.min(Math.ceil(part + listed), streams + polls);
  return { to: is < was || (goesDown && !isUp) ? 'long-poll' : 'websocket', users };
}

export interface PastState {
  readonly change: OpenChange;
  /** The rules before the change, as far as decisions depend on them. */
  readonly rules: Rules;
  /** By which toggle its percentage is asked: the flag's own, or one of `pastToggles`. */
  readonly flag: string;
}

/** One for each open change, the newest first. */
export function pastStates(rules: Rules): readonly PastState[] {
  const states: PastState[] = [];
  let state = rules;
  let flag = transportFlag;
  for (const change of rules.openChanges.toReversed()) {
    const { feature, isKilled: wasKilled, holdback, allowlist, denylist } = change.before;
    state = {
      ...state,
      features: state.features.map((one) => (one.name === transportFlag ? (feature ?? one) : one)),
      kills: wasKilled === undefined ? state.kills : wasKilled ? [someKill] : [],
      holdback: holdback ?? state.holdback,
      allowlist: undone(state.allowlist, allowlist),
      denylist: undone(state.denylist, denylist),
    };
    if (feature !== undefined) flag = pastName(change);
    states.push({ change, rules: state, flag });
  }
  return states;
}

/** The flag as each open change found it, under a name of its own and with its users hashed as ever. */
export const pastToggles = (rules: Rules): readonly Feature[] =>
  rules.openChanges.flatMap((change) => {
    const { feature } = change.before;
    return feature ? [{ ...withPercent(feature, percentOf(feature)), name: pastName(change) }] : [];
  });

const pastName = ({ assignment }: OpenChange): string => `${transportFlag}@${assignment}`;
const someKill: Kill = { id: 'past', at: 0, who: '', reason: '' };

function undone(list: string[], diff: ListDiff | undefined): string[] {
  // The same list: `isListed` makes one set of it for all states.
  if (diff === undefined) return list;
  const added = new Set(diff.added);
  return [...list.filter((entry) => !added.has(entry)), ...diff.removed];
}
