/** The side of a node that stands before an API of before: its paths, its source, its shadow. Without profiles it is empty. */
import type { ShadowSummary } from '../../schema/admin.ts';
import type { Profile } from '../../schema/profile.ts';
import type { AskOutcome } from '../auth/server.ts';
import type { KeyedAuthenticator } from '../auth/authenticator.ts';
import { type Config, environment } from '../config/config.ts';
import type { NodeData, NodeParts } from './data.ts';
import { type LegacyApi, openLegacyApi } from '../legacy/api.ts';
import { LegacyStands } from '../legacy/stands.ts';
import type { RequestLimits } from '../http/limits.ts';
import { type BridgeReport, openBridges } from '../legacy/bridge/bridge.ts';
import { loadProfiles } from '../legacy/profile/load.ts';
import type { Logger } from '../logger.ts';
import type { Decider } from '../rollout/decide/decide.ts';
import type { LongPoll } from '../transports/long-poll.ts';

/** The APIs of before that this node speaks for. @throws ConfigError */
export function readProfiles(config: Config, logger: Logger): readonly Profile[] {
  const { TURNOUT_PROFILES: places, TURNOUT_HOST: host, TURNOUT_PORT: port } = config;
  const { profiles, warnings } = loadProfiles(places, environment(), { host, port });
  for (const warning of warnings) logger.warn(warning);
  if (profiles.length > 0) logger.info({ profiles: profiles.map(({ name }) => name) }, 'profiles are read');
  return profiles;
}

export interface AdoptionParts extends NodeParts {
  readonly profiles: readonly Profile[];
  readonly data: Pick<NodeData, 'log' | 'redis'>;
  readonly decider: Decider;
  readonly longPoll: LongPoll;
  readonly authenticator: KeyedAuthenticator;
  readonly onAsked: (outcome: AskOutcome, why: string) => void;
  readonly limits: RequestLimits;
  /** Paths of Turnout's own, base path included: no profile takes them. */
  readonly isOwn: (path: string) => boolean;
}

export interface Adoption {
  /** Takes a request of an old API; undefined where there is none. */
  readonly takes: LegacyApi['takes'] | undefined;
  shadows(): Record<string, ShadowSummary>;
  bridges(): readonly BridgeReport[];
  /** Lets another node go on with the sources, and gives requests that are under way their time. */
  drain(withinMs: number): Promise<void>;
  /** Requests that come after the drain are answered soon: their connections are cut next. */
  lastCall(): void;
  /** Resolves once nothing is written any more. */
  close(): Promise<void>;
}

/** @throws ConfigError where profiles want one path, or Turnout's own */
export function openAdoption(parts: AdoptionParts): Adoption {
  const { config, clock, logger, metrics, nodeId, profiles, limits, isOwn } = parts;
  const { log, redis } = parts.data;
  const bridges = openBridges({
    profiles,
    log,
    redis,
    prefix: config.TURNOUT_REDIS_PREFIX,
    nodeId,
    clock,
    logger,
    isOn: config.TURNOUT_BRIDGE,
  });
  const { decider, longPoll, authenticator, onAsked } = parts;
  const isFed = (profile: string): boolean => bridges.isFed(profile);
  const stood = { profiles, decider, longPoll, log, clock, authenticator, isFed, onAsked };
  const hooks = new LegacyStands({ ...stood, metrics: metrics.legacy });
  const api = openLegacyApi({ config, profiles, hooks, isOwn, limits, metrics, clock, logger });
  let bridgesClosed: Promise<void> | undefined;
  const endBridges = (): Promise<void> => (bridgesClosed ??= bridges.close());
  return {
    takes: api?.takes,
    shadows: () => hooks.shadows(),
    bridges: () => bridges.report(),
    async drain(withinMs) {
      void endBridges();
      await api?.drain(withinMs);
    },
    lastCall() {
      api?.lastCall();
    },
    async close() {
      api?.close();
      await hooks.close();
      await endBridges();
    },
  };
}
