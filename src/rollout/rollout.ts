/** Puts the rollout of one node together: rules, latch, evaluation, decisions, moves. Owns their order and their end. */
import type { Reason } from '../../schema/http.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import { RolloutAdmission } from './admission.ts';
import { Announced } from './announced.ts';
import { RolloutControl } from './control.ts';
import { Decider } from './decider.ts';
import { capsOf, firstRules, unreadableUsers } from './environment.ts';
import { Evaluator } from './evaluator.ts';
import { readFeatureFile } from './features.ts';
import { watchKillFile } from './kill-file.ts';
import { KillLatch } from './latch.ts';
import type { RolloutLogger } from './logger.ts';
import { MemoryRulesStore } from './memory-rules-store.ts';
import { type MovableSessions, Mover } from './mover.ts';
import type { Rules } from './rules.ts';
import type { RulesStore } from './rules-store.ts';

export interface RolloutOptions {
  readonly config: Pick<
    Config,
    | 'REALTIME_STREAMING_V2'
    | 'REALTIME_ROLLOUT_PERCENT'
    | 'REALTIME_WHITELIST'
    | 'WS_AUTORECONNECT'
    | 'TURNOUT_ALLOW_OVERRIDE'
    | 'TURNOUT_KILL_FILE'
    | 'TURNOUT_KILL_WINDOW_MS'
    | 'TURNOUT_MOVE_WITHIN_MS'
  >;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly logger: RolloutLogger;
  /** Who is connected: hub's Sessions fits. */
  readonly sessions: MovableSessions;
  /** Counts the decisions that admit or refuse a stream. */
  readonly onDecision?: (reason: Reason) => void;
}

export interface Rollout {
  readonly nodeId: string;
  readonly store: RulesStore;
  readonly latch: KillLatch;
  readonly decider: Decider;
  readonly control: RolloutControl;
  readonly mover: Mover;
  /** Fits the transports' port of that name. */
  readonly admission: RolloutAdmission;
  close(): Promise<void>;
}

/** The rollout of a node whose rules live in its memory. It is at work when this returns. */
export function createRollout(options: RolloutOptions): Rollout {
  const { config, clock, nodeId, logger, sessions } = options;
  const unreadable = unreadableUsers(config);
  if (unreadable.length > 0)
    logger.warn({ entries: unreadable.length }, 'REALTIME_WHITELIST: entries that name no user are left out');
  const first = firstRules(readFeatureFile(), config);
  const store = new MemoryRulesStore(clock, nodeId, first, { who: 'environment', reason: 'start' });
  const latch = new KillLatch();
  const evaluator = new Evaluator(
    () => clock.random(),
    (fields, message) => logger.warn(fields, message),
  );
  const caps = capsOf(config);
  const decider = new Decider({
    rules: () => store.current(),
    evaluator,
    latch,
    isCapped: caps.length > 0,
    allowsOverride: config.TURNOUT_ALLOW_OVERRIDE,
  });
  const announced = new Announced();
  const mover = new Mover({
    sessions,
    decider,
    announced,
    clock,
    logger,
    killWithinMs: config.TURNOUT_KILL_WINDOW_MS,
    moveWithinMs: config.TURNOUT_MOVE_WITHIN_MS,
  });

  const apply = (rules: Rules): void => {
    evaluator.apply(rules.features);
    latch.follow(rules);
    store.acknowledge(rules.version);
    mover.run();
  };
  const rules = store.current();
  evaluator.apply(rules.features);
  store.acknowledge(rules.version);
  store.subscribe(apply);
  latch.subscribe(() => mover.runSoon());
  const killFile = config.TURNOUT_KILL_FILE;
  const stopWatching = killFile === undefined ? undefined : watchKillFile(killFile, latch, clock, logger);
  if (caps.length > 0)
    logger.warn({ variables: caps }, 'this node serves long-poll only, whatever the rules say');

  return {
    nodeId,
    store,
    latch,
    decider,
    control: new RolloutControl({ store, latch, clock, nodeId, caps }),
    mover,
    admission: new RolloutAdmission(
      decider,
      announced,
      () => store.refresh(),
      options.onDecision ?? (() => {}),
    ),
    async close() {
      stopWatching?.();
      mover.close();
      await store.close();
      evaluator.close();
    },
  };
}
