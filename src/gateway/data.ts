/** The data side of a node: Redis, the log, the feeds over it, and their metrics. */
import type { Profile } from '../../schema/profile.ts';
import type { KeyedAuthenticator } from '../auth/authenticator.ts';
import type { OnFault } from '../async/faults.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { Hub } from '../hub/hub.ts';
import type { FurthestReader } from '../hub/furthest-reader.ts';
import type { Sessions } from '../hub/sessions.ts';
import { bridgedServiceOf } from '../legacy/dialect/source-entry.ts';
import { type EventLog, isAway, type LogHealth } from '../log/event-log.ts';
import { connectRedis, openLog } from '../log/open-log.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { Publisher } from '../publish/publisher.ts';
import { PublishRate } from '../publish/publish-rate.ts';
import { RightsWatch } from '../redis/rights.ts';
import { memoryClaims, redisClaims } from '../auth/held-claims.ts';
import { shareTicketKey } from '../auth/ticket-key.ts';

/** What every part of a node is made with. */
export interface NodeParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly nodeId: string;
  readonly onFault: OnFault;
}

export type NodeData = Awaited<ReturnType<typeof openData>>;

// How long to wait for Redis: a node must serve even while Redis is away.
const startMs = 2000;

/** @param given a log to use instead of the one that the settings describe. @param profiles whose bridged services are reserved */
export async function openData(
  node: NodeParts,
  authenticator: Pick<KeyedAuthenticator, 'needsTicketSecret' | 'useTicketSecret' | 'holdClaimsIn'>,
  given: EventLog | undefined,
  profiles: readonly Profile[],
) {
  const { config, clock, logger, metrics } = node;
  const prefix = config.TURNOUT_REDIS_PREFIX;
  const redis = connectRedis(node);
  const log = given ?? openLog(redis, node);
  await redis?.ready(startMs);
  const rights = redis && new RightsWatch({ redis, prefix, clock, logger });
  await rights?.look();
  const onSecret = (secret: string): void => authenticator.useTicketSecret(secret);
  const stopSharing =
    redis !== undefined && authenticator.needsTicketSecret
      ? shareTicketKey({ redis, prefix, clock, onSecret })
      : () => undefined;
  authenticator.holdClaimsIn(redis ? redisClaims(redis, prefix) : memoryClaims(clock), (outcome) =>
    metrics.longTickets.inc({ outcome }),
  );
  const hub = openHub(log, node);
  const rate = new PublishRate({
    eventsPerS: config.TURNOUT_MAX_PUBLISHES_PER_USER_PER_S,
    bytesPerS: config.TURNOUT_MAX_PUBLISH_BYTES_PER_USER_PER_S,
    clock,
  });
  return {
    /** Undefined on the embedded log. */
    redis,
    log,
    hub,
    publisher: new Publisher({ log, clock, metrics, rate, bridged: bridgedServices(profiles) }),
    /** The log's health, with the Redis permissions that are missing. */
    health: () => withDetail(log.health(), rights?.detail),
    async close(): Promise<void> {
      await log.close();
      stopSharing();
      rights?.close();
      redis?.close();
    },
  };
}

function bridgedServices(profiles: readonly Profile[]): ReadonlyMap<string, string> {
  const named = profiles.map((profile) => [bridgedServiceOf(profile), profile.name] as const);
  return new Map(named.flatMap(([service, name]) => (service === undefined ? [] : [[service, name]])));
}

const withDetail = (health: LogHealth, more = ''): LogHealth =>
  more === '' ? health : { ...health, detail: `${health.detail}; ${more}` };

function openHub(log: EventLog, { config, clock, logger, metrics, onFault }: NodeParts): Hub {
  return new Hub({
    log,
    clock,
    ringBytes: config.TURNOUT_RING_BYTES,
    lingerMs: config.TURNOUT_FEED_LINGER_MS,
    retention: {
      ageMs: config.TURNOUT_RETENTION_MS,
      events: config.TURNOUT_RETENTION_EVENTS,
      bytes: config.TURNOUT_RETENTION_BYTES,
    },
    onFault,
    onRepair(org, why, cause) {
      metrics.feedRepairs.inc({ why });
      // An outage of the log heals by itself; any other failure needs somebody.
      if (cause !== undefined && !isAway(cause))
        logger.error({ org, why, err: cause }, 'a feed cannot read its log');
      else logger.warn({ org, why }, 'a feed reads the log again');
    },
    onFlushed: (form, sinceMs, readers) =>
      metrics.appendToWrite.observe(form.transport, (clock.now() - sinceMs) / 1000, readers),
  });
}

/** Sets the gauges of the data side, before each collection of the metrics. */
export async function showData(
  metrics: Metrics,
  { hub, log }: Pick<NodeData, 'hub' | 'log'>,
  sessions: Sessions,
  furthest: FurthestReader,
): Promise<void> {
  const health = log.health();
  metrics.feeds.set(hub.feeds);
  metrics.ringBytes.set(hub.ringBytes);
  metrics.subscriptions.set(health.subscriptions);
  metrics.isLogUp.set(health.isUp ? 1 : 0);
  metrics.setConnections(sessions.connected());
  metrics.readerLag.set(await furthest.behind());
}
