/** What `GET /admin/v1/rollout` shows: the rules as this node holds them, and what the nodes of the fleet say. */
import type { RolloutBody } from '../../schema/admin.ts';
import { fail } from '../errors.ts';
import type { Rollout } from '../rollout/rollout.ts';
import { percentOf } from '../rollout/rules/features.ts';
import { isFlagOn, isKilled, rolloutPercent } from '../rollout/rules/rules.ts';
import { countFleet, isoTime } from './admin-fleet.ts';

/** Counts are summed over the nodes. @throws log_unavailable while this node never read the rules */
export async function rolloutView(rollout: Rollout): Promise<RolloutBody> {
  const rules = rollout.store.current();
  if (rules === undefined) throw fail('log_unavailable', 'this node has not read the rules yet');
  const [acknowledged, counts] = await Promise.all([
    rollout.fleet.acknowledged(rules.version, 0),
    countFleet(rollout.fleet),
  ]);
  const health = rollout.store.health();
  return {
    version: rules.version,
    rules: { up: health.isUp, detail: health.detail },
    changedAt: isoTime(rules.changedAt),
    percent: rolloutPercent(rules),
    enabled: isFlagOn(rules),
    killed: isKilled(rules) || rollout.latch.isSet,
    killedBy: {
      rules: rules.kills.map((kill) => ({ ...kill, at: isoTime(kill.at) })),
      node: [...rollout.latch.causes()],
    },
    allowlist: [...rules.allowlist],
    denylist: [...rules.denylist],
    holdback: rules.holdback,
    flags: Object.fromEntries(
      rules.features.map((flag) => [flag.name, { enabled: flag.enabled, percent: percentOf(flag) }]),
    ),
    paused: [...rules.pauses],
    acks: acknowledged.acks,
    laggards: acknowledged.laggards,
    capped: acknowledged.capped,
    ...counts,
  };
}
