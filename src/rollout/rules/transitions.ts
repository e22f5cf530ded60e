/**
 * Every change that the rules can undergo, as pure functions: each gives the next document's content and what the audit
 * trail shall say. Version, nonce and time are the store's to give, in `stamp`.
 */
import type { AuditEntry } from '../../../schema/audit.ts';
import { fail } from '../../errors.ts';
import type { Author } from './author.ts';
import { type Feature, percentOf, transportFlag, withPercent } from './features.ts';
import { openChangesAfter, type Pace } from './open-changes.ts';
import { featureOf, type Kill, type Rules } from './rules.ts';
import { toldLists } from './trail.ts';

type Content = Omit<Rules, 'version' | 'nonce' | 'changedAt' | 'origin' | 'pausedAt' | 'openChanges'> &
  Partial<Pick<Rules, 'openChanges'>>;

export interface Change {
  readonly content: Content;
  readonly action: AuditEntry['action'];
  readonly from: unknown;
  readonly to: unknown;
}

/** Undefined: the rules are as it would have them, and nothing is written. */
export type Transition = (rules: Rules) => Change | undefined;

/** Kills, and ended ones, kept in the document: pulling a switch that is on must not grow it for ever. */
const maxKills = 100;

interface FlagChange {
  readonly percent?: number | undefined;
  readonly enabled?: boolean | undefined;
}

const changeFlag =
  (
    name: string,
    change: FlagChange,
    action: Change['action'],
    toggles: readonly Feature[] = [],
  ): Transition =>
  (rules) => {
    const present = featureOf(rules, name);
    const before = present ?? toggles.find((toggle) => toggle.name === name);
    if (before === undefined) throw fail('not_found', `there is no flag ${name}`);
    const moved = change.percent === undefined ? before : withPercent(before, change.percent);
    const after = { ...moved, enabled: change.enabled ?? before.enabled };
    const told = (feature: typeof before) =>
      action === 'percent'
        ? percentOf(feature)
        : action === 'enabled'
          ? feature.enabled
          : { flag: name, enabled: feature.enabled, percent: percentOf(feature) };
    return {
      content: {
        ...rules,
        features:
          present === undefined
            ? [...rules.features, after]
            : rules.features.map((one) => (one === before ? after : one)),
      },
      action,
      from: told(before),
      to: told(after),
    };
  };

export const setPercent = (percent: number): Transition => changeFlag(transportFlag, { percent }, 'percent');
export const setEnabled = (enabled: boolean): Transition => changeFlag(transportFlag, { enabled }, 'enabled');
/**
 * @param toggles those that this release knows: rules written by an older one lack the newest
 * @throws not_found, when applied, for a flag that neither has
 */
export const setFlag = (name: string, change: FlagChange, toggles: readonly Feature[] = []): Transition =>
  changeFlag(name, change, 'flag', toggles);

/** @param users `sub` or `org/sub`; repeats are dropped. */
export const setList =
  (list: 'allowlist' | 'denylist', users: readonly string[]): Transition =>
  (rules) => {
    const to = [...new Set(users)];
    return { content: { ...rules, [list]: to }, action: list, ...toldLists(rules[list], to) };
  };

/** Adds those kills that don't stand yet, unless they were ended since: a node that heard one while the store was away. */
export const addKills =
  (pulled: readonly Kill[]): Transition =>
  (rules) => {
    const known = new Set([...rules.kills.map(({ id }) => id), ...rules.unkilled]);
    const added = pulled.filter(({ id }) => !known.has(id));
    if (added.length === 0) return undefined;
    const kills = [...rules.kills, ...added].slice(-maxKills);
    return { content: { ...rules, kills }, action: 'kill', from: idsOf(rules.kills), to: idsOf(kills) };
  };

export const kill = (pulled: Kill): Transition => addKills([pulled]);

/**
 * Removes every kill that stands in the document.
 * @param heard kills that only the asking node knows: ended with them
 */
export const unkill =
  (heard: readonly string[] = []): Transition =>
  (rules) => {
    const from = idsOf(rules.kills);
    const unkilled = [...new Set([...rules.unkilled, ...from, ...heard])].slice(-maxKills);
    return { content: { ...rules, kills: [], unkilled }, action: 'unkill', from, to: [] };
  };

const idsOf = (kills: readonly Kill[]): string[] => kills.map(({ id }) => id);

export const pause =
  (cause: string): Transition =>
  (rules) => {
    const to = [...new Set([...rules.pauses, cause])];
    return { content: { ...rules, pauses: to }, action: 'pause', from: rules.pauses, to };
  };

export const resume =
  (cause: string): Transition =>
  (rules) => {
    const to = rules.pauses.filter((standing) => standing !== cause);
    return { content: { ...rules, pauses: to }, action: 'resume', from: rules.pauses, to };
  };

interface Stamp {
  readonly nonce: string;
  /** Unix milliseconds by the store's clock. */
  readonly nowMs: number;
  /** What the change takes the place of; undefined for the first rules. */
  readonly before: Rules | undefined;
}

/** The change as a document and as a line of the audit trail. */
export function stamp(
  { content, action, from, to }: Change,
  { nonce, nowMs, before }: Stamp,
  { by, who, reason }: Author,
  pace: Pace,
): [Rules, AuditEntry] {
  // Seconds at first, so that neither a restart nor an emptied Redis goes back below what clients were told.
  const version = before === undefined ? Math.floor(nowMs / 1000) : before.version + 1;
  const write = { version, nowMs, isUnkill: action === 'unkill' };
  const open = before === undefined ? { openChanges: [] } : openChangesAfter(before, content, write, pace);
  const origin = action === 'start' ? 'environment' : 'operator';
  return [
    { ...content, version, nonce, changedAt: nowMs, origin, pausedAt: undefined, ...open },
    { version, at: new Date(nowMs).toISOString(), by, who, action, from, to, reason },
  ];
}

/** The error of a version conflict: what its loser is told. @param trail newest first */
export function conflict(version: number, expected: number, trail: readonly AuditEntry[]): Error {
  const last = trail.find((line) => line.version === version);
  const story =
    last === undefined ? '' : ` ${last.who} wrote it at ${last.at} (${last.action}: ${last.reason})`;
  return fail('version_conflict', `the rules are at version ${version}, not ${expected}.${story}`);
}
