/**
 * The key that nodes share in Redis to sign tickets with, where tokens are verified with public keys and no secret is
 * configured: a ticket of one node must open a stream at any other.
 */
import { randomBytes } from 'node:crypto';
import { retryUntilAborted } from '../async/retry.ts';
import { type Cancel, type Clock, pause } from '../clock.ts';
import type { RedisConnection } from '../redis/connections.ts';

// Also once it is known: a Redis that was emptied must have it back before a new node makes another.
const askEveryMs = 2000;
const backoff = { firstMs: 500, maxMs: 2000 };

/** @param onSecret told when it is first known, and when it is another. */
export function shareTicketKey(options: {
  readonly redis: Pick<RedisConnection, 'commands'>;
  readonly prefix: string;
  readonly clock: Clock;
  readonly onSecret: (secret: string) => void;
}): Cancel {
  const { redis, clock, onSecret } = options;
  const name = `${options.prefix}:ticket-key`;
  let known: string | undefined;
  const end = new AbortController();
  const { signal } = end;

  const ask = async (): Promise<void> => {
    const read = (): Promise<unknown> => redis.commands.call('GET', [name]);
    // First, because a Redis that takes no writes has a key to tell all the same.
    let secret = await read();
    if (secret === null) {
      // The first to write wins; everybody then reads what stands. Tickets that are out outlive an emptied Redis.
      const offered = known ?? randomBytes(32).toString('base64url');
      await redis.commands.call('SET', [name, offered, 'NX']);
      secret = await read();
    }
    if (signal.aborted || typeof secret !== 'string' || secret === known) return;
    known = secret;
    onSecret(secret);
  };
  const keepAsking = async (worked: () => void): Promise<void> => {
    while (!signal.aborted) {
      await ask();
      worked();
      await pause(clock, askEveryMs, signal);
    }
  };
  // While Redis is away each node signs with a key of its own, and asks again.
  void retryUntilAborted(keepAsking, { clock, signal, onFailure: () => undefined, backoff });
  return () => end.abort();
}
