/** The side of a node that stands before legacy APIs: their paths, sources and shadows. Without profiles it is empty. */
import type { Profile } from '../../schema/profile.ts';
import { type Config, environment } from '../config/config.ts';
import type { NodeData, NodeParts } from './data.ts';
import { LegacyApi, type LegacyDeps } from '../legacy/api.ts';
import { openBridges } from '../legacy/bridge/bridge.ts';
import { loadProfiles } from '../legacy/profile/load.ts';
import { LegacyStands, type LegacyStandsDeps } from '../legacy/serve/stands.ts';
import type { Logger } from '../logger.ts';

/** Reads the profiles of the legacy APIs that this node speaks for. @throws ConfigError */
export function readProfiles(config: Config, logger: Logger): readonly Profile[] {
  const { TURNOUT_PROFILES: places, TURNOUT_HOST: host, TURNOUT_PORT: port } = config;
  const { profiles, warnings } = loadProfiles(places, environment(), { host, port });
  for (const warning of warnings) logger.warn(warning);
  if (profiles.length > 0) logger.info({ profiles: profiles.map(({ name }) => name) }, 'profiles are read');
  return profiles;
}

type AdoptionParts = NodeParts &
  Pick<LegacyStandsDeps, 'profiles' | 'decider' | 'longPoll' | 'authenticator' | 'onAsked'> &
  Pick<LegacyDeps, 'limits' | 'isOwn'> & { readonly data: Pick<NodeData, 'log' | 'redis'> };

/** @throws ConfigError where profiles want one path, or Turnout's own */
export function openAdoption(parts: AdoptionParts) {
  const { config, metrics, profiles } = parts;
  const { log, redis } = parts.data;
  const prefix = config.TURNOUT_REDIS_PREFIX;
  const bridges = openBridges({ ...parts, log, redis, prefix, isOn: config.TURNOUT_BRIDGE });
  const isFed = (profile: string): boolean => bridges.isFed(profile);
  const stands = new LegacyStands({
    ...parts,
    log,
    isFed,
    searchReadsPerS: config.TURNOUT_LEGACY_SEARCH_READS_PER_S,
    metrics: metrics.legacy,
  });
  const api = new LegacyApi({
    ...parts,
    stands,
    metrics: metrics.legacy,
    bounds: { connections: config.TURNOUT_LEGACY_CONNECTIONS, bodyMs: config.TURNOUT_LEGACY_BODY_MS },
  });
  const { passthrough } = api;
  metrics.onCollect(() => metrics.legacy.open.set(passthrough.open));
  let bridgesClosed: Promise<void> | undefined;
  const endBridges = (): Promise<void> => (bridgesClosed ??= bridges.close());
  return {
    /** Takes a request of a legacy API; undefined where there is none. */
    takes: profiles.length === 0 ? undefined : api.takes,
    /** Returns the legacy API that a path belongs to; undefined: none. */
    ownerOf: (path: string) => api.ownerOf(path),
    shadows: () => stands.shadows(),
    bridges: () => bridges.report(),
    /** Lets another node go on with the sources, and gives requests that are under way their time. */
    async drain(withinMs: number) {
      void endBridges();
      await passthrough.drain(withinMs);
    },
    /** Requests that come after the drain are answered soon: their connections are cut next. */
    lastCall: () => passthrough.lastCall(),
    /** Resolves once nothing is written any more. */
    async close() {
      passthrough.close();
      await stands.close();
      await endBridges();
    },
  };
}
