/**
 * What the environment says about the rollout (docs/PROTOCOL.md, 13): the first rules, and the brakes of this node. An
 * explicit `false` or `0` is more than a default: it caps the node, whatever the rules come to say.
 */
import { isDeepStrictEqual } from 'node:util';
import { listEntrySchema } from '../../../schema/admin.ts';
import type { Config } from '../../config/config.ts';
import type { LeveledLogger } from '../../logger.ts';
import { autoreconnectFlag, type Feature, percentOf, transportFlag, withPercent } from './features.ts';
import { featureOf, isFlagOn, isSameInJson, rolloutPercent, type Rules } from './rules.ts';
import type { Change } from './transitions.ts';

type RolloutSettings = Pick<
  Config,
  'REALTIME_STREAMING_V2' | 'REALTIME_ROLLOUT_PERCENT' | 'REALTIME_WHITELIST' | 'WS_AUTORECONNECT'
>;

/** The variables that hold this node at long-poll; empty: none does. */
export function capsOf(settings: RolloutSettings): readonly string[] {
  return [
    ...(settings.REALTIME_STREAMING_V2 === false ? ['REALTIME_STREAMING_V2'] : []),
    ...(settings.REALTIME_ROLLOUT_PERCENT === 0 ? ['REALTIME_ROLLOUT_PERCENT'] : []),
  ];
}

/** The first rules: the toggles of flags/feature.json as the environment changes them. */
export function firstRules(
  features: readonly Feature[],
  settings: RolloutSettings,
  logger: LeveledLogger,
): Change {
  const { readable: allowlist, unreadable } = usersOf(settings);
  if (unreadable.length > 0)
    logger.warn({ entries: unreadable.length }, 'REALTIME_WHITELIST: entries that name no user are left out');
  const content = {
    features: features.map((feature) => fromEnvironment(feature, settings)),
    allowlist,
    denylist: [],
    holdback: 0,
    kills: [],
    unkilled: [],
    pauses: [],
  };
  const flags = content.features.map((one) => [one.name, { enabled: one.enabled, percent: percentOf(one) }]);
  return { content, action: 'start', from: null, to: { flags: Object.fromEntries(flags), allowlist } };
}

/** What the environment writes at this start; what it may not write any more is a warning that says which holds. */
export function changeAtStart(
  first: Change,
  stored: Rules | undefined,
  settings: RolloutSettings,
  logger: LeveledLogger,
): Change | undefined {
  if (stored === undefined) return first;
  if (stored.origin === 'environment') {
    if (isSameInJson({ ...stored, ...first.content }, stored)) return undefined;
    logger.warn({ replaces: stored.version }, 'the environment has changed: it writes the rules anew');
    return first;
  }
  const variables = unheeded(stored, settings);
  if (variables.length > 0)
    logger.warn(
      { variables, version: stored.version },
      'the rules were changed by an operator since and hold: these variables are not followed',
    );
  return undefined;
}

/** Entries of the whitelist, each once: those that name a user, and those that name nobody. */
function usersOf({ REALTIME_WHITELIST: users = [] }: RolloutSettings) {
  const isReadable = (entry: string): boolean => listEntrySchema.safeParse(entry).success;
  const entries = [...new Set(users)];
  return {
    readable: entries.filter(isReadable),
    unreadable: users.filter((entry) => !isReadable(entry)),
  };
}

/** The variables that are set and that these rules, which others wrote, don't follow. */
function unheeded(rules: Rules, settings: RolloutSettings): readonly string[] {
  const { REALTIME_STREAMING_V2: flag, REALTIME_ROLLOUT_PERCENT: percent } = settings;
  const { REALTIME_WHITELIST: users, WS_AUTORECONNECT: share } = settings;
  const reconnect = featureOf(rules, autoreconnectFlag);
  const isListOther =
    users !== undefined && !isDeepStrictEqual(new Set(rules.allowlist), new Set(usersOf(settings).readable));
  return [
    ...(flag !== undefined && flag !== isFlagOn(rules) ? ['REALTIME_STREAMING_V2'] : []),
    ...(percent !== undefined && percent !== rolloutPercent(rules) ? ['REALTIME_ROLLOUT_PERCENT'] : []),
    ...(isListOther ? ['REALTIME_WHITELIST'] : []),
    ...(share !== undefined && share !== percentOf(reconnect) ? ['WS_AUTORECONNECT'] : []),
  ];
}

function fromEnvironment(feature: Feature, settings: RolloutSettings): Feature {
  if (feature.name === transportFlag) {
    const percent = settings.REALTIME_ROLLOUT_PERCENT ?? percentOf(feature);
    return withPercent({ ...feature, enabled: settings.REALTIME_STREAMING_V2 ?? feature.enabled }, percent);
  }
  if (feature.name === autoreconnectFlag && settings.WS_AUTORECONNECT !== undefined)
    return withPercent({ ...feature, enabled: true }, settings.WS_AUTORECONNECT);
  return feature;
}
