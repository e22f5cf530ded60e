/** How far each lane of a source is in the log, kept beside the lease: written by its holder alone, after the append. */
import type { RedisCommands } from '../../redis/connections.ts';
import { type BridgeKeys, keptInLua, type RedisLease } from './lease.ts';

/**
 * `lost`: the lease is another node's, and nothing was written. `rewound`: another position stands there than before, or
 * less was kept than is known, as after a failover that lost what was written last, of the log as well; nothing was written.
 */
export type Kept = 'kept' | 'lost' | 'rewound';

export interface Checkpoints {
  /** The position after which the lane goes on; undefined: at its beginning. @throws while Redis is away */
  read(lane: string): Promise<string | undefined>;
  /** @param previous what was read or kept before. @throws while Redis is away */
  keep(lane: string, position: string, previous: string | undefined): Promise<Kept>;
}

/**
 * KEYS lease, checkpoints, last. ARGV holder, lane, position, previous position or '', turn, places known to be kept in it,
 * this one's number.
 * Returns 1 when written (by an earlier try, too), 0 where the lease is another's, 2 where another position stands or what
 * was kept is lost.
 */
const keepLua = `${keptInLua}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local kept = keptIn(redis.call('GET', KEYS[3]), ARGV[5])
if not kept or kept < tonumber(ARGV[6]) then return 2 end
local stands = redis.call('HGET', KEYS[2], ARGV[2]) or ''
if stands ~= ARGV[4] and stands ~= ARGV[3] then return 2 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[5] .. ' ' .. math.max(kept, tonumber(ARGV[7])))
return 1`;

/** KEYS checkpoints. ARGV lane. Returns the position or nil. */
const readLua = `return redis.call('HGET', KEYS[1], ARGV[1])`;

export function redisCheckpoints(redis: RedisCommands, keys: BridgeKeys, lease: RedisLease): Checkpoints {
  return {
    async read(lane) {
      const reply = await redis.call('EVAL', [readLua, 1, keys.checkpoints, lane]);
      return typeof reply === 'string' ? reply : undefined;
    },
    async keep(lane, position, previous = '') {
      const sent = lease.sends();
      const place = [lease.token, lane, position, previous, ...sent];
      const reply = await redis.call('EVAL', [keepLua, 3, keys.lease, keys.checkpoints, keys.last, ...place]);
      if (reply === 1) {
        lease.keeps(sent);
        return 'kept';
      }
      return reply === 2 ? 'rewound' : 'lost';
    },
  };
}

/** They last as long as the log of this process. */
export function localCheckpoints(): Checkpoints {
  const positions = new Map<string, string>();
  return {
    read: async (lane) => positions.get(lane),
    async keep(lane, position) {
      positions.set(lane, position);
      return 'kept';
    },
  };
}
