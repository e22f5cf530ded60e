/** What the rules said before each change that is still open: rebuilt from what every change replaced. Pure. */
import { type Feature, percentOf, transportFlag, withPercent } from './features.ts';
import type { ListDiff, OpenChange } from './open-change.ts';
import type { Kill, Rules } from './rules.ts';

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
    const { feature, isKilled, holdback, allowlist, denylist } = change.before;
    state = {
      ...state,
      features:
        feature === undefined
          ? state.features
          : state.features.map((one) => (one.name === transportFlag ? feature : one)),
      kills: isKilled === undefined ? state.kills : isKilled ? [someKill] : [],
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
    return feature === undefined
      ? []
      : [{ ...withPercent(feature, percentOf(feature)), name: pastName(change) }];
  });

const pastName = ({ assignment }: OpenChange): string => `${transportFlag}@${assignment}`;
const someKill: Kill = { id: 'past', at: 0, who: '', reason: '' };

function undone(list: readonly string[], diff: ListDiff | undefined): string[] {
  if (diff === undefined) return [...list];
  const added = new Set(diff.added);
  return [...list.filter((entry) => !added.has(entry)), ...diff.removed];
}
