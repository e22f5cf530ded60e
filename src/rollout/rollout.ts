/** Puts the rollout of one node together: rules, latch, evaluation, decisions, moves. Owns their order and their end. */
import type { Reason } from '../../schema/http.ts';
import type { Config } from '../config/config.ts';
import { RolloutAdmission } from './admission.ts';
import { Announced } from './moves/announced.ts';
import { RolloutControl } from './control.ts';
import { Decider } from './decide/decider.ts';
import { capsOf } from './rules/environment.ts';
import { DueTimes, rulesLost } from './moves/due-times.ts';
import { Evaluator } from './decide/evaluator.ts';
import { type Feature, readFeatureFile } from './rules/features.ts';
import type { Fleet } from './fleet/fleet.ts';
import { pastToggles } from './rules/history.ts';
import { KillCourier } from './kill/courier.ts';
import { watchKillFile } from './kill/file.ts';
import { LatelyConnected } from './moves/lately-connected.ts';
import { KillLatch } from './kill/latch.ts';
import { openLocalKillDoor } from './kill/local-door.ts';
import { openRulesStore, paceOf, type RulesStoreOptions } from './open-store.ts';
import type { MovableSessions } from './moves/movable-sessions.ts';
import { Mover } from './moves/mover.ts';
import type { Rules } from './rules/rules.ts';
import type { RulesStore } from './rules/store.ts';

export interface RolloutOptions extends Omit<RulesStoreOptions, 'toggles'> {
  readonly config: Pick<
    Config,
    | 'REALTIME_STREAMING_V2'
    | 'REALTIME_ROLLOUT_PERCENT'
    | 'REALTIME_WHITELIST'
    | 'WS_AUTORECONNECT'
    | 'TURNOUT_ALLOW_OVERRIDE'
    | 'TURNOUT_KILL_FILE'
    | 'TURNOUT_KILL_WINDOW_MS'
    | 'TURNOUT_MOVE_RATE'
    | 'TURNOUT_POLL_CAPACITY'
    | 'TURNOUT_MOVE_WITHIN_MS'
    | 'TURNOUT_RULES_MAX_AGE_MS'
    | 'TURNOUT_RULES_STALE'
  >;
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
  const connectedHere = () => lately.counts();
  const toggles = readFeatureFile();
  const { store, fleet } = openRulesStore({ ...options, toggles }, caps, connectedHere);
  const latch = new KillLatch();
  const evaluator = new Evaluator(
    () => clock.random(),
    (fields, message) => logger.warn(fields, message),
  );
  const areRulesLost = (): boolean =>
    config.TURNOUT_RULES_STALE === 'long-poll' &&
    config.TURNOUT_RULES_MAX_AGE_MS > 0 &&
    store.health().ageMs > config.TURNOUT_RULES_MAX_AGE_MS;
  const decider = new Decider({
    rules: () => store.current(),
    evaluator,
    latch,
    isCapped: caps.length > 0,
    allowsOverride: config.TURNOUT_ALLOW_OVERRIDE,
    areRulesLost,
  });
  const dueTimes = new DueTimes({
    decider,
    rules: () => store.current(),
    nowMs: () => store.nowMs(),
    pace: { ...paceOf(config), connected: connectedHere },
    connectedHere,
  });
  const hearCauses = (): void =>
    dueTimes.hear(
      [...latch.causes(), ...(areRulesLost() ? [rulesLost] : [])],
      (cause) => cause === rulesLost || cause.includes('/'),
    );
  const announced = new Announced();
  const stay = {
    killWindowMs: config.TURNOUT_KILL_WINDOW_MS,
    moveWithinMs: config.TURNOUT_MOVE_WITHIN_MS,
  };
  const mover = new Mover({
    sessions,
    decider,
    dueTimes,
    announced,
    clock,
    logger,
    stay,
  });

  const apply = (rules: Rules): void => {
    evaluator.apply([...rules.features, ...pastToggles(rules)]);
    latch.follow(rules);
    hearCauses();
    store.acknowledge(rules.version);
    mover.run();
  };
  const rules = store.current();
  if (rules !== undefined) {
    evaluator.apply([...rules.features, ...pastToggles(rules)]);
    store.acknowledge(rules.version);
  }
  store.subscribe(apply);
  latch.subscribe(() => {
    hearCauses();
    mover.runSoon();
  });
  const courier = new KillCourier(latch, store, logger);
  const control = new RolloutControl({ store, latch, clock, nodeId, stay, logger });
  const closers = [
    watchAge(areRulesLost, options, () => {
      hearCauses();
      mover.run();
    }),
    config.TURNOUT_KILL_FILE === undefined
      ? undefined
      : watchKillFile(config.TURNOUT_KILL_FILE, latch, clock, logger),
    options.local === undefined ? undefined : openLocalKill(options.local, control, options),
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
    admission: new RolloutAdmission(
      decider,
      dueTimes,
      announced,
      (version) => store.refresh(version),
      options.onDecision ?? (() => {}),
    ),
    async close() {
      for (const close of closers) close?.();
      lately.close();
      courier.close();
      mover.close();
      fleet.close();
      await store.close();
      evaluator.close();
    },
  };
}

/** Nothing announces that rules have grown old: moves those connected when it happens, and when it is over. */
function watchAge(
  areRulesLost: () => boolean,
  { config, clock, logger }: RolloutOptions,
  changed: () => void,
): (() => void) | undefined {
  if (config.TURNOUT_RULES_STALE !== 'long-poll' || config.TURNOUT_RULES_MAX_AGE_MS === 0) return undefined;
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

function openLocalKill(
  { folder, pid }: NonNullable<RolloutOptions['local']>,
  control: RolloutControl,
  { nodeId, logger }: RolloutOptions,
): () => void {
  const kill = (reason: string) => control.kill({ who: `local/${nodeId}`, reason });
  const door = openLocalKillDoor({ folder, pid, nodeId, logger, kill });
  return () => door.close();
}
