/** Joins what the shared rules need of Redis to the node's connection: scripts and subscriptions. */
import type { OnFault } from '../../async/faults.ts';
import type { Clock } from '../../clock.ts';
import { type RedisConnection, wasNotSent } from '../../redis/connections.ts';
import type { RedisScript } from '../../redis/script.ts';
import { RedisSubscription } from '../../redis/subscription.ts';
import type { RulesRedis } from './redis.ts';

/** Before its first command a node may wait so long for its connection; after that commands fail while there is none. */
const connectMs = 1000;

export class RulesConnection implements RulesRedis {
  private readonly connected: Promise<void>;
  private readonly subscription: RedisSubscription;

  /** Ends with `close`, which leaves `connection` open: others use it too. */
  constructor(
    private readonly connection: RedisConnection,
    clock: Clock,
    onFault?: OnFault,
  ) {
    this.connected = connection.ready(connectMs);
    const mayMove = connection.target.kind === 'cluster';
    const open = () => connection.openSubscriber();
    this.subscription = new RedisSubscription({
      open,
      mayMove,
      kind: 'channel',
      clock,
      ...(onFault && { onFault }),
    });
  }

  async run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    await this.connected;
    try {
      return await script.run(this.connection.commands, keys, args);
    } catch (error) {
      if (!(error instanceof Error) || !wasNotSent(error)) throw error;
      throw new Error(this.connection.failure ?? 'the connection is closed', { cause: error });
    }
  }

  subscribe(channel: string, onMessage: (message: string) => void, onStanding?: () => void): () => void {
    this.subscription.want(channel, { onMessage, onHeard: () => onStanding?.() });
    return () => this.subscription.unwant(channel);
  }

  close(): void {
    this.subscription.close();
  }
}
