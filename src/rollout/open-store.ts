/** The store that the settings describe, and the first rules that the environment has to write (docs/PROTOCOL.md, 13). */
import type { CappedNode } from '../../schema/admin.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { KeyPrints } from '../auth/key-prints.ts';
import {
  firstRules,
  type RolloutSettings,
  saysTheSame,
  unheeded,
  unreadableUsers,
} from './rules/environment.ts';
import type { Feature } from './rules/features.ts';
import { type Fleet, LoneFleet } from './fleet/fleet.ts';
import type { LeveledLogger } from '../logger.ts';
import { MemoryRulesStore } from './rules/memory-store.ts';
import type { Connected } from './rules/pacing.ts';
import { RedisFleet } from './fleet/redis-fleet.ts';
import { RedisRulesStore } from './rules/redis-store.ts';
import type { Rules } from './rules/rules.ts';
import { type RulesRedis, rulesKeys } from './rules/redis.ts';
import type { RulesStore } from './rules/store.ts';
import type { Change } from './rules/transitions.ts';

export type PaceSettings = Pick<
  Config,
  'TURNOUT_MOVE_RATE' | 'TURNOUT_KILL_WINDOW_MS' | 'TURNOUT_POLL_CAPACITY'
>;

export interface SharedRules {
  readonly redis: RulesRedis;
  readonly prefix: string;
  /** Of `rulesKeys`. */
  readonly channelEnd?: string;
}

export interface RulesStoreOptions {
  /** Those that the release knows. */
  readonly toggles: readonly Feature[];
  readonly config: RolloutSettings & PaceSettings;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly logger: LeveledLogger;
  /** Where the rules live that all nodes share; absent: in this process. */
  readonly shared?: SharedRules | undefined;
  /** What this node tells the others of its keys; absent: nothing. */
  readonly prints?: KeyPrints;
}

export function openRulesStore(
  options: RulesStoreOptions,
  caps: readonly string[],
  connectedHere: () => Connected,
): { readonly store: RulesStore; readonly fleet: Fleet } {
  const { config, clock, nodeId, logger, shared, prints = {} } = options;
  const unreadable = unreadableUsers(config);
  if (unreadable.length > 0)
    logger.warn({ entries: unreadable.length }, 'REALTIME_WHITELIST: entries that name no user are left out');
  const first = firstRules(options.toggles, config);
  const capped: CappedNode[] = caps.length === 0 ? [] : [{ node: nodeId, variables: [...caps] }];
  const pace = paceOf(config);
  if (shared === undefined) {
    const by = { who: 'environment', reason: 'start' };
    const alone = { ...pace, connected: connectedHere };
    const store = new MemoryRulesStore({ clock, nodeId, capped, pace: alone, first, by });
    return { store, fleet: new LoneFleet(nodeId) };
  }
  const { redis, prefix, channelEnd } = shared;
  const keys = rulesKeys(prefix, channelEnd);
  const found = (stored: Rules | undefined): Change | undefined => foundBy(first, stored, options);
  const store = new RedisRulesStore({
    redis,
    keys,
    clock,
    nodeId,
    logger,
    capped,
    found,
    pace,
    connectedHere,
    prints,
  });
  store.open();
  const fleet = new RedisFleet({ redis, keys, clock, nodeId, logger, register: store.register });
  return { store, fleet };
}

export const paceOf = (config: PaceSettings) => ({
  moveRate: config.TURNOUT_MOVE_RATE,
  killWindowMs: config.TURNOUT_KILL_WINDOW_MS,
  pollCapacity: config.TURNOUT_POLL_CAPACITY,
});

/** What the environment writes at this start; what it may not write any more is a warning that says which holds. */
function foundBy(
  first: Change,
  stored: Rules | undefined,
  { config, logger }: RulesStoreOptions,
): Change | undefined {
  if (stored === undefined) return first;
  if (stored.origin === 'environment') {
    if (saysTheSame(stored, first)) return undefined;
    logger.warn({ replaces: stored.version }, 'the environment has changed: it writes the rules anew');
    return first;
  }
  const variables = unheeded(stored, config);
  if (variables.length > 0)
    logger.warn(
      { variables, version: stored.version },
      'the rules were changed by an operator since and hold: these variables are not followed',
    );
  return undefined;
}
