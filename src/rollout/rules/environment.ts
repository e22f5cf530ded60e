/**
 * What the environment says about the rollout (docs/PROTOCOL.md, 13): the first rules, and the brakes of this node. An
 * explicit `false` or `0` is more than a default: it caps the node, whatever the rules come to say.
 */
import { isDeepStrictEqual } from 'node:util';
import { listEntrySchema } from '../../../schema/admin.ts';
import type { Config } from '../../config/config.ts';
import { autoreconnectFlag, type Feature, percentOf, transportFlag, withPercent } from './features.ts';
import { featureOf, isFlagOn, rolloutPercent, type Rules } from './rules.ts';
import type { Change, Content } from './transitions.ts';

export type RolloutSettings = Pick<
  Config,
  'REALTIME_STREAMING_V2' | 'REALTIME_ROLLOUT_PERCENT' | 'REALTIME_WHITELIST' | 'WS_AUTORECONNECT'
>;

/** The variables that hold this node at long-poll; empty: none does. */
export function capsOf(settings: RolloutSettings): readonly string[] {
  const caps: string[] = [];
  if (settings.REALTIME_STREAMING_V2 === false) caps.push('REALTIME_STREAMING_V2');
  if (settings.REALTIME_ROLLOUT_PERCENT === 0) caps.push('REALTIME_ROLLOUT_PERCENT');
  return caps;
}

/** Entries of the whitelist that name nobody, so that the start can say so. */
export function unreadableUsers(settings: RolloutSettings): readonly string[] {
  return (settings.REALTIME_WHITELIST ?? []).filter((entry) => !listEntrySchema.safeParse(entry).success);
}

/** The first rules: the toggles of flags/feature.json as the environment changes them. */
export function firstRules(features: readonly Feature[], settings: RolloutSettings): Change {
  const unreadable = new Set(unreadableUsers(settings));
  const allowlist = [...new Set(settings.REALTIME_WHITELIST)].filter((entry) => !unreadable.has(entry));
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

/** Whether the environment would write what these rules say already. */
export function saysTheSame(rules: Rules, { content }: Change): boolean {
  const { features, allowlist, denylist, holdback, kills, unkilled, pauses } = rules;
  const said: Content = { features, allowlist, denylist, holdback, kills, unkilled, pauses };
  // Through JSON, as the rules were: what it leaves out is no difference.
  return isDeepStrictEqual(JSON.parse(JSON.stringify(said)), JSON.parse(JSON.stringify(content)));
}

/** The variables that are set and that these rules, which others wrote, don't follow. */
export function unheeded(rules: Rules, settings: RolloutSettings): readonly string[] {
  const { REALTIME_STREAMING_V2: flag, REALTIME_ROLLOUT_PERCENT: percent } = settings;
  const { REALTIME_WHITELIST: users, WS_AUTORECONNECT: share } = settings;
  const reconnect = featureOf(rules, autoreconnectFlag);
  const held = new Set(rules.allowlist);
  const unread = new Set(unreadableUsers(settings));
  const readable = new Set(users?.filter((user) => !unread.has(user)));
  const isListOther = users !== undefined && !isDeepStrictEqual(held, readable);
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
