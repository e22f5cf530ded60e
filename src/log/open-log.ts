/** The log that the settings describe: in this process, or in the Redis that all nodes share. */
import type { OnFault } from '../async/faults.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { openRedis, type RedisConnection } from '../redis/connections.ts';
import type { EventLog } from './event-log.ts';
import { createMemoryLog } from './memory-log.ts';
import { createRedisLog } from './redis-log.ts';

export interface LogNode {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly nodeId: string;
  readonly onFault: OnFault;
}

/** Goes on trying for as long as the node lives. Undefined where no Redis is configured. */
export function connectRedis({ config, clock, logger, metrics }: LogNode): RedisConnection | undefined {
  const { TURNOUT_REDIS_URL: url, TURNOUT_REDIS_TIMEOUT_MS: timeoutMs } = config;
  if (url === undefined) return undefined;
  const onError = (error: Error): void => {
    metrics.redisErrors.inc({ what: 'connection' });
    // Each attempt fails anew: the outage itself is told once, by the log's health.
    logger.debug({ err: error }, 'a connection to Redis failed');
  };
  return openRedis({ url, clock, timeoutMs, onError });
}

/** @param redis of `connectRedis`; stays its owner's to close. */
export function openLog(redis: RedisConnection | undefined, node: LogNode): EventLog {
  const { config, clock, logger, metrics, nodeId, onFault } = node;
  const retention = {
    retentionMs: config.TURNOUT_RETENTION_MS,
    retentionEvents: config.TURNOUT_RETENTION_EVENTS,
    retentionBytes: config.TURNOUT_RETENTION_BYTES,
  };
  if (redis === undefined) return createMemoryLog({ clock, ...retention });
  return createRedisLog({
    connection: redis,
    clock,
    prefix: config.TURNOUT_REDIS_PREFIX,
    nodeId,
    timeoutMs: config.TURNOUT_REDIS_TIMEOUT_MS,
    ...retention,
    onDeaf() {
      metrics.feedDeaf.inc();
      logger.warn('a subscription to Redis had gone deaf and is made anew');
    },
    onFault,
    onDamaged: (org, err) => logger.error({ org, err }, "an org's log is damaged: others go on"),
    onError: (what) => metrics.redisErrors.inc({ what }),
    onHealth: ({ isUp, detail }) =>
      isUp ? logger.info({ detail }, 'the log is back') : logger.warn({ detail }, 'the log is away'),
  });
}
