/** Puts the rollout of one node together: rules, latch, evaluation, decisions, moves. Owns their order and their end. */
import type { Reason } from '../../schema/http.ts';
import type { KeyPrints } from '../auth/key-prints.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { LeveledLogger } from '../logger.ts';
import { RolloutAdmission } from './arrivals.ts';
import { RolloutControl } from './control.ts';
import { Decider } from './decide/decide.ts';
import { Evaluator } from './decide/evaluator.ts';
import { type Fleet, type FleetNode, LoneFleet } from './fleet/fleet.ts';
import { RedisFleet } from './fleet/redis-fleet.ts';
import { watchKillFile } from './kill/file.ts';
import { KillLatch } from './kill/latch.ts';
import { openLocalKillDoor } from './kill/local.ts';
import { DueTimes } from './moves/due-times.ts';
import { Mover } from './moves/mover.ts';
import { LatelyConnected, type MovableSessions } from './moves/sessions.ts';
import { localCaller } from './rules/author.ts';
import { capsOf, changeAtStart, firstRules } from './rules/environment.ts';
import { type Feature, readFeatureFile } from './rules/features.ts';
import { RulesLink } from './rules/link.ts';
import { MemoryRulesStore } from './rules/memory-store.ts';
import { type Pace, pastToggles } from './rules/open-changes.ts';
import { type RulesRedis, rulesKeys } from './rules/redis.ts';
import { RedisRulesStore } from './rules/redis-store.ts';
import type { Rules } from './rules/rules.ts';
import type { RulesStore } from './rules/store.ts';

interface SharedRules {
  readonly redis: RulesRedis;
  readonly prefix: string;
  /** Of `rulesKeys`. */
  readonly channelEnd?: string;
}

interface RolloutOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly logger: LeveledLogger;
  /** Where the rules live that all nodes share; absent: in this process. */
  readonly shared?: SharedRules | undefined;
  /** What this node tells the others of its keys; absent: nothing. */
  readonly prints?: KeyPrints;
  /** Who is connected: hub's Sessions fits. */
  readonly sessions: MovableSessions;
  /** Where `turnout kill --local` finds this node; absent: nowhere. */
  readonly local?: { readonly folder: string; readonly pid: number } | undefined;
  /** Counts the decisions that admit or refuse a stream. */
  readonly onDecision?: (reason: Reason) => void;
}

export interface Rollout {
  readonly nodeId: string;
  /** Resolves once the rules were read, or could not be in a start's time: this node may be asked. */
  readonly ready: Promise<void>;
  readonly store: RulesStore;
  readonly fleet: Fleet;
  /** The toggles that this release knows, as they are before anybody changes them. */
  readonly toggles: readonly Feature[];
  readonly latch: KillLatch;
  readonly decider: Decider;
  readonly dueTimes: DueTimes;
  readonly control: RolloutControl;
  readonly mover: Mover;
  /** Fits the transports' port of that name. */
  readonly admission: RolloutAdmission;
  close(): Promise<void>;
}

/** How often the age of the rules is looked at. */
const ageLookMs = 500;

/**
 * The rollout of a node. It is at work when this returns; with shared rules it knows none until they were read (`ready`),
 * and everybody is on long-poll until then.
 */
export function createRollout(options: RolloutOptions): Rollout {
  const { config, clock, nodeId, logger, sessions } = options;
  const caps = capsOf(config);
  const lately = new LatelyConnected(sessions, clock);
  const pace: Pace = {
    connected: () => lately.counts(),
    moveRate: config.TURNOUT_MOVE_RATE,
    killWindowMs: config.TURNOUT_KILL_WINDOW_MS,
    pollCapacity: config.TURNOUT_POLL_CAPACITY,
    moveWithinMs: config.TURNOUT_MOVE_WITHIN_MS,
  };
  const toggles = readFeatureFile();
  const { store, fleet } = openRules(options, toggles, { nodeId, caps, connectedHere: pace.connected }, pace);
  const latch = new KillLatch();
  const evaluator = new Evaluator(
    () => clock.random(),
    (fields, message) => logger.warn(fields, message),
  );
  /** 0: rules of any age are decided by. */
  const maxAgeMs = config.TURNOUT_RULES_STALE === 'long-poll' ? config.TURNOUT_RULES_MAX_AGE_MS : 0;
  const areRulesLost = (): boolean => maxAgeMs > 0 && store.health().ageMs > maxAgeMs;
  const decider = new Decider({
    rules: () => store.current(),
    evaluator,
    latch,
    isCapped: caps.length > 0,
    allowsOverride: config.TURNOUT_ALLOW_OVERRIDE,
    areRulesLost,
  });
  const dueTimes = new DueTimes({ decider, nowMs: () => store.nowMs(), pace });
  const hearCauses = (): void => dueTimes.hear(latch.causes(), areRulesLost());
  const mover = new Mover({ sessions, decider, dueTimes, clock, logger, stay: pace });

  const follow = (rules: Rules): void => {
    evaluator.apply([...rules.features, ...pastToggles(rules)]);
    latch.follow(rules);
    hearCauses();
    fleet.acknowledge(rules.version);
    mover.run();
  };
  const first = store.current();
  if (first !== undefined) follow(first);
  store.subscribe(follow);
  latch.subscribe(() => {
    hearCauses();
    mover.runSoon();
  });
  const control = new RolloutControl({ store, fleet, latch, clock, nodeId, stay: pace, logger });
  const killFile = config.TURNOUT_KILL_FILE;
  const kill = (reason: string) => control.kill({ ...localCaller(nodeId), reason });
  const door = options.local && openLocalKillDoor({ ...options.local, nodeId, logger, kill });
  const closers = [
    maxAgeMs === 0
      ? undefined
      : watchAge(areRulesLost, options, () => {
          hearCauses();
          mover.run();
        }),
    killFile === undefined ? undefined : watchKillFile(killFile, latch, clock, logger),
    door && (() => door.close()),
  ];
  if (caps.length > 0)
    logger.warn({ variables: caps }, 'this node serves long-poll only, whatever the rules say');

  return {
    nodeId,
    ready: store.ready,
    store,
    fleet,
    toggles,
    latch,
    decider,
    dueTimes,
    control,
    mover,
    admission: new RolloutAdmission({ decider, dueTimes, store, onDecision: options.onDecision }),
    async close() {
      for (const close of closers) close?.();
      lately.close();
      mover.close();
      store.close();
      await fleet.close();
      evaluator.close();
    },
  };
}

/** The rules and the fleet that the settings describe, with the first rules that the environment has to write (docs/PROTOCOL.md, 13). */
function openRules(
  options: RolloutOptions,
  toggles: readonly Feature[],
  node: FleetNode,
  here: Pace,
): { readonly store: RulesStore; readonly fleet: Fleet } {
  const { config, clock, logger, shared, prints = {} } = options;
  const first = firstRules(toggles, config, logger);
  if (shared === undefined)
    return { store: new MemoryRulesStore({ clock, pace: here, first, logger }), fleet: new LoneFleet(node) };
  const keys = rulesKeys(shared.prefix, shared.channelEnd);
  const link = new RulesLink(shared.redis, clock, logger);
  const fleet = new RedisFleet({ ...node, redis: link, keys, clock, logger, prints });
  const pace = { ...here, connected: () => fleet.connected() };
  const found = (stored: Rules | undefined) => changeAtStart(first, stored, config, logger);
  return { store: new RedisRulesStore({ link, keys, clock, logger, pace, found }), fleet };
}

/** Nothing announces that rules have grown old: moves those connected when it happens, and when it is over. */
function watchAge(
  areRulesLost: () => boolean,
  { clock, logger }: RolloutOptions,
  changed: () => void,
): () => void {
  let wereLost = areRulesLost();
  return clock.every(ageLookMs, () => {
    const areLost = areRulesLost();
    if (areLost === wereLost) return;
    wereLost = areLost;
    logger.warn(
      {},
      areLost ? 'the rules are too old to decide by: long-poll only' : 'the rules are known again',
    );
    changed();
  });
}
