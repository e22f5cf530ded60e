/**
 * Whether somebody reads a profile's source, whichever node: who does says so in Redis, again and again. A log that nobody
 * feeds would keep its clients waiting for what the old backend has long been telling.
 */
import type { Clock } from '../../clock.ts';
import type { RedisCommands } from '../../redis/connections.ts';

/** Longer than another node needs to take over from one that ends in order. */
const fedMs = 2500;

export interface Feeding {
  readonly isFed: boolean;
  /** Says that this node reads the source, or hears of another. Never rejects. */
  exchange(isReading: boolean): Promise<void>;
}

export class RedisFeeding implements Feeding {
  private readonly redis: RedisCommands;
  private readonly key: string;
  private readonly clock: Pick<Clock, 'monotonic'>;
  private fedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(redis: RedisCommands, key: string, clock: Pick<Clock, 'monotonic'>) {
    this.redis = redis;
    this.key = key;
    this.clock = clock;
  }

  get isFed(): boolean {
    return this.clock.monotonic() < this.fedUntilMs;
  }

  async exchange(isReading: boolean): Promise<void> {
    const untilMs = this.clock.monotonic() + fedMs;
    const ask = isReading
      ? this.redis.call('SET', [this.key, '1', 'PX', fedMs])
      : this.redis.call('GET', [this.key]);
    try {
      this.fedUntilMs = (await ask) === null ? Number.NEGATIVE_INFINITY : untilMs;
    } catch {
      // Redis is away, and what was heard runs out.
    }
  }
}

/** Without Redis the log is this process's own, and nobody else feeds it. */
export class LocalFeeding implements Feeding {
  isFed = false;

  async exchange(isReading: boolean): Promise<void> {
    this.isFed = isReading;
  }
}
