/**
 * The key that nodes share in Redis to sign tickets with, where tokens are verified with public keys and no secret is
 * configured: a ticket of one node must open a stream at any other.
 */
import { randomBytes } from 'node:crypto';
import type { Cancel, Clock } from '../clock.ts';
import type { RedisConnection } from '../redis/connections.ts';

// Until it is known; then, because a Redis that was emptied must have it back before a new node makes another.
const askEveryMs = { first: 500, later: 2000 };

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
  let cancel: Cancel = () => undefined;
  let isOver = false;

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
    if (isOver || typeof secret !== 'string' || secret === known) return;
    known = secret;
    onSecret(secret);
  };
  const askOn = (): void => {
    // While Redis is away each node signs with a key of its own, and asks again.
    void ask()
      .catch(() => undefined)
      .finally(() => {
        if (!isOver) cancel = clock.after(known === undefined ? askEveryMs.first : askEveryMs.later, askOn);
      });
  };
  askOn();
  return () => {
    isOver = true;
    cancel();
  };
}
