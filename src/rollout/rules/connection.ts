/** Joins what the shared rules need of Redis to the node's connection: scripts by their hash, subscriptions that come back. */
import type { Cancel, Clock } from '../../clock.ts';
import { type RedisConnection, wasNotSent } from '../../redis/connections.ts';
import type { RedisScript } from '../../redis/script.ts';
import type { RulesRedis } from './redis.ts';

type Subscriber = ReturnType<RedisConnection['openSubscriber']>;

interface Subscription {
  readonly channel: string;
  readonly onMessage: (message: string) => void;
  readonly onStanding: () => void;
}

const reopenMs = 500;
/** Before its first command a node may wait so long for its connection; after that commands fail while there is none. */
const connectMs = 1000;

export class RulesConnection implements RulesRedis {
  private readonly connection: RedisConnection;
  private readonly clock: Clock;
  private readonly subscriptions = new Set<Subscription>();
  /** Those that failed, until each is asked for again. */
  private readonly waiting = new Map<Subscription, Cancel>();
  private readonly connected: Promise<void>;
  private subscriber: Subscriber | undefined;
  private isClosed = false;

  /** Ends with `close`, which leaves `connection` open: others use it too. */
  constructor(connection: RedisConnection, clock: Clock) {
    this.connection = connection;
    this.clock = clock;
    this.connected = connection.ready(connectMs);
    this.listen();
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

  subscribe(channel: string, onMessage: (message: string) => void, onStanding: () => void): () => void {
    const subscription = { channel, onMessage, onStanding };
    this.subscriptions.add(subscription);
    if (this.subscriber?.status === 'ready') this.stand(this.subscriber, subscription);
    return () => {
      this.subscriptions.delete(subscription);
      this.waitNoMore(subscription);
      const isLast = ![...this.subscriptions].some((other) => other.channel === channel);
      if (isLast && this.subscriber?.status === 'ready')
        this.subscriber.unsubscribe(channel).catch(() => undefined);
    };
  }

  close(): void {
    this.isClosed = true;
    for (const subscription of this.subscriptions) this.waitNoMore(subscription);
    this.subscriptions.clear();
    this.subscriber?.disconnect();
  }

  private listen(): void {
    if (this.isClosed) return;
    const subscriber = this.connection.openSubscriber();
    this.subscriber = subscriber;
    subscriber.on('ready', () => {
      for (const subscription of this.subscriptions) this.stand(subscriber, subscription);
    });
    subscriber.on('message', (channel: string, message: string) => {
      for (const subscription of this.subscriptions)
        if (subscription.channel === channel) subscription.onMessage(message);
    });
    // On a Cluster its node may be gone for good: another one hears the same.
    if (this.connection.target.kind === 'cluster')
      subscriber.once('close', () => {
        subscriber.disconnect();
        this.clock.after(reopenMs, () => this.listen());
      });
    // Its failure is told by the connection's own errors; it tries again by itself.
    subscriber.connect().catch(() => undefined);
  }

  private stand(subscriber: Subscriber, subscription: Subscription): void {
    this.waitNoMore(subscription);
    const again = (): void => {
      if (this.subscriber === subscriber && subscriber.status === 'ready')
        this.stand(subscriber, subscription);
    };
    // One that fails with its connection is made again by the next `ready`; one that was refused may be allowed later.
    const onFailure = (): void => {
      if (this.subscriptions.has(subscription))
        this.waiting.set(subscription, this.clock.after(reopenMs, again));
    };
    subscriber.subscribe(subscription.channel).then(subscription.onStanding, onFailure);
  }

  private waitNoMore(subscription: Subscription): void {
    this.waiting.get(subscription)?.();
    this.waiting.delete(subscription);
  }
}
