/** Whether the rules' store can be reached: said once when it is lost, once when it is back, and told in the node's health. */
import type { Clock } from '../../clock.ts';
import type { LeveledLogger } from '../../logger.ts';
import type { RulesHealth } from './store.ts';

export class RulesReach {
  private readonly clock: Clock;
  private readonly logger: LeveledLogger;
  private readonly listeners = new Set<() => void>();
  private isReached = false;
  private hasFailed = false;
  private readAtMs: number;

  constructor(clock: Clock, logger: LeveledLogger) {
    this.clock = clock;
    this.logger = logger;
    this.readAtMs = clock.monotonic();
  }

  get isUp(): boolean {
    return this.isReached;
  }

  /** @param isKnown the node holds rules, of whatever age */
  health(isKnown: boolean): RulesHealth {
    const ageMs = this.clock.monotonic() - this.readAtMs;
    if (this.isReached) return { isUp: true, detail: 'in Redis', ageMs };
    const detail = isKnown ? `last read ${Math.round(ageMs / 1000)} s ago` : 'never read';
    return { isUp: false, detail, ageMs };
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  answered(): void {
    this.readAtMs = this.clock.monotonic();
  }

  wrote(): void {
    this.isReached = true;
  }

  /** A read went through to its end. */
  succeeded(): void {
    if (this.hasFailed) this.logger.info({}, 'the rules can be reached again');
    this.isReached = true;
    this.hasFailed = false;
  }

  tell(): void {
    for (const listener of this.listeners) listener();
  }

  failed(error: unknown): void {
    if (!this.hasFailed) this.logger.warn({ err: error }, 'the rules cannot be reached: those held go on');
    this.hasFailed = true;
    this.isReached = false;
  }

  /** Two nodes of one id: each hides what the other has not heard. */
  twin(node: string, isThere: boolean): void {
    if (isThere)
      this.logger.error({ node }, 'another living node has this id: give each a TURNOUT_NODE_ID of its own');
    else this.logger.info({ node }, 'no other node has this id any longer');
  }

  close(): void {
    this.listeners.clear();
  }
}
