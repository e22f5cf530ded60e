/**
 * Holds the claims that are too long for a ticket's URL, until the ticket has expired: in Redis, where any node finds them, or
 * in the memory of a node with the embedded log. It is given them encrypted, and can't read them.
 */
import { LRUCache } from 'lru-cache';
import { limits } from '../../schema/codes.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { RedisConnection } from '../redis/connections.ts';

export interface HeldClaims {
  /** Holds them for longer than a ticket lives; the same id again begins anew. @throws log_unavailable */
  put(id: string, sealed: string): Promise<void>;
  /** Returns undefined where they were never held, or for no longer. @throws log_unavailable */
  get(id: string): Promise<string | undefined>;
}

// A ticket's expiry is rounded up to a second, and a stream may be a moment on its way.
const heldMs = limits.ticketMs + 60_000;
// Some 2,000 users with the longest claims that a request's headers hold. Past it the oldest negotiate again.
const memoryChars = 32 * 1024 * 1024;

export function memoryClaims(clock: Pick<Clock, 'monotonic'>): HeldClaims {
  const held = new LRUCache<string, { sealed: string; untilMs: number }>({
    maxSize: memoryChars,
    sizeCalculation: ({ sealed }) => sealed.length + 1,
  });
  return {
    async put(id, sealed) {
      held.set(id, { sealed, untilMs: clock.monotonic() + heldMs });
    },
    async get(id) {
      const found = held.get(id);
      return found !== undefined && found.untilMs > clock.monotonic() ? found.sealed : undefined;
    },
  };
}

export function redisClaims(redis: Pick<RedisConnection, 'commands'>, prefix: string): HeldClaims {
  const ask = async (command: string, id: string, ...args: (string | number)[]): Promise<unknown> => {
    try {
      return await redis.commands.call(command, [`${prefix}:ticket:${id}`, ...args]);
    } catch (cause) {
      throw fail('log_unavailable', undefined, { cause });
    }
  };
  return {
    async put(id, sealed) {
      await ask('SET', id, sealed, 'PX', heldMs);
    },
    async get(id) {
      const found = await ask('GET', id);
      return typeof found === 'string' ? found : undefined;
    },
  };
}
