/**
 * The way to the Redis of the shared rules: one timeout and one error for every command, and whether it can be reached, which
 * is logged once when it is lost and once when it is back.
 */
import { withDeadline } from '../../async/deadline.ts';
import { Listeners } from '../../async/listeners.ts';
import type { Clock } from '../../clock.ts';
import { fail } from '../../errors.ts';
import type { LeveledLogger } from '../../logger.ts';
import type { RedisScript } from '../../redis/script.ts';
import type { RulesRedis } from './redis.ts';
import type { RulesHealth } from './store.ts';

/** How long any command may take, whatever the client's own patience. */
const commandMs = 1000;

export class RulesLink implements RulesRedis {
  /** Told after each read that went through to its end. */
  readonly onReached = new Listeners();
  /** What else the health of the rules must say; empty: nothing. */
  notice = '';
  /** Redis was reached by the last command that tells. */
  isUp = false;
  private hasFailed = false;
  private readAtMs: number;

  constructor(
    private readonly redis: RulesRedis,
    private readonly clock: Clock,
    private readonly logger: LeveledLogger,
  ) {
    this.readAtMs = clock.monotonic();
  }

  /** @throws log_unavailable with what the client threw as its cause */
  async run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await withDeadline(this.redis.run(script, keys, args), commandMs, script.name, this.clock);
    } catch (cause) {
      this.failed(cause);
      throw fail('log_unavailable', 'the rules cannot be reached', { cause });
    }
  }

  subscribe(channel: string, onMessage: (message: string) => void, onStanding?: () => void): () => void {
    return this.redis.subscribe(channel, onMessage, onStanding);
  }

  /** @param isKnown the node holds rules, of whatever age */
  health(isKnown: boolean): RulesHealth {
    const ageMs = this.clock.monotonic() - this.readAtMs;
    const lastRead = isKnown ? `last read ${Math.round(ageMs / 1000)} s ago` : 'never read';
    const standing = this.isUp ? 'in Redis' : lastRead;
    const detail = this.notice === '' ? standing : `${standing}; ${this.notice}`;
    return { isUp: this.isUp, detail, ageMs };
  }

  /** Redis has answered a read. */
  answered(): void {
    this.readAtMs = this.clock.monotonic();
  }

  wrote(): void {
    this.isUp = true;
  }

  /** A read went through to its end. */
  succeeded(): void {
    if (this.hasFailed) this.logger.info({}, 'the rules can be reached again');
    this.isUp = true;
    this.hasFailed = false;
  }

  failed(error: unknown): void {
    if (!this.hasFailed) this.logger.warn({ err: error }, 'the rules cannot be reached: those held go on');
    this.hasFailed = true;
    this.isUp = false;
  }
}
