/** Redis for the rules with one bound on every command, and one error for whatever went wrong. */
import type { Clock } from '../../clock.ts';
import { fail } from '../../errors.ts';
import type { RedisScript, RulesRedis } from './redis.ts';

/** How long any command may take, whatever the client's own patience. */
const commandMs = 1000;

export class BoundedRedis implements RulesRedis {
  private readonly redis: RulesRedis;
  private readonly clock: Clock;
  private readonly onFailure: (error: unknown) => void;

  /** @param onFailure told of each command that failed, before it throws */
  constructor(redis: RulesRedis, clock: Clock, onFailure: (error: unknown) => void) {
    this.redis = redis;
    this.clock = clock;
    this.onFailure = onFailure;
  }

  /** @throws log_unavailable with what the client threw as its cause */
  async run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await this.within(this.redis.run(script, keys, args), script.name);
    } catch (cause) {
      this.onFailure(cause);
      throw fail('log_unavailable', 'the rules cannot be reached', { cause });
    }
  }

  subscribe(channel: string, onMessage: (message: string) => void, onStanding: () => void): () => void {
    return this.redis.subscribe(channel, onMessage, onStanding);
  }

  private within<T>(running: Promise<T>, name: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(commandMs, () =>
        reject(new Error(`${name} took over ${commandMs} ms`)),
      );
      running.finally(cancel).then(resolve, reject);
    });
  }
}
