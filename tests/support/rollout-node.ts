/** The rollout of one node over a real Redis, with a link of its own that a test can cut: a fleet of these in one process. */
import { type Clock, systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { Sessions } from '../../src/hub/sessions.ts';
import { openRedis } from '../../src/redis/connections.ts';
import { createRollout, type Rollout } from '../../src/rollout/rollout.ts';
import { RulesConnection } from '../../src/rollout/rules/connection.ts';
import type { RulesRedis } from '../../src/rollout/rules/redis.ts';
import { TcpLink } from './tcp-link.ts';

export interface RolloutNode {
  readonly rollout: Rollout;
  readonly sessions: Sessions;
  readonly link: TcpLink;
  readonly logged: readonly string[];
  close(): Promise<void>;
}

type Hearing = (redis: RulesRedis) => RulesRedis;
const hearing: Hearing = (redis) => redis;
/** Every push is lost, as on a link that has gone quiet: such a node knows what it reads. */
export const deaf: Hearing = (redis) => ({
  run: (...asked) => redis.run(...asked),
  subscribe: () => () => undefined,
});

/** Nothing is done each so often: such a node reads when it is asked about something, and only then. */
export const unprompted: Clock = { ...systemClock, every: () => () => undefined };

/** @param port Redis's. Resolves once its rollout is ready, or gave up to be. */
export async function openRolloutNode(
  nodeId: string,
  port: number,
  env: Readonly<Record<string, string>> = {},
  hears: Hearing = hearing,
  clock: Clock = systemClock,
): Promise<RolloutNode> {
  const link = await TcpLink.open(port);
  return openOver(link, nodeId, env, hears, clock);
}

/** The same over a link that may be cut already. */
export async function openOver(...asked: Parameters<typeof beginOver>): Promise<RolloutNode> {
  const node = beginOver(...asked);
  await node.rollout.ready;
  return node;
}

/** The same, without waiting for it. */
export function beginOver(
  link: TcpLink,
  nodeId: string,
  env: Readonly<Record<string, string>> = {},
  hears: Hearing = hearing,
  clock: Clock = systemClock,
): RolloutNode {
  const logged: string[] = [];
  const log = (_fields: object, message: string): void => void logged.push(message);
  const logger = { info: log, warn: log, error: log };
  const connection = openRedis({ url: link.url, clock, timeoutMs: 1000, onError: () => undefined });
  const redis = new RulesConnection(connection, clock);
  const sessions = new Sessions();
  const rollout = createRollout({
    config: readConfig(env),
    clock,
    nodeId,
    logger,
    sessions,
    shared: { redis: hears(redis), prefix: 'turnout' },
  });
  return {
    rollout,
    sessions,
    link,
    logged,
    async close() {
      await rollout.close();
      redis.close();
      connection.close();
      link.close();
    },
  };
}
