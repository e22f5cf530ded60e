/**
 * What the environment says about the rollout (docs/PROTOCOL.md, 13): the first rules, and the brakes of this node. An
 * explicit `false` or `0` is more than a default: it caps the node, whatever the rules come to say.
 */
import { listEntrySchema } from '../../schema/admin.ts';
import type { Config } from '../config.ts';
import { autoreconnectFlag, type Feature, percentOf, transportFlag, withPercent } from './features.ts';
import type { Change } from './transitions.ts';

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
    pauses: [],
  };
  const flags = content.features.map((one) => [one.name, { enabled: one.enabled, percent: percentOf(one) }]);
  return { content, action: 'start', from: null, to: { flags: Object.fromEntries(flags), allowlist } };
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
