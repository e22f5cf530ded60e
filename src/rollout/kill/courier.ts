/**
 * Brings kills that could not be written into the rules as soon as the store is reached again, so that one told to a single
 * node while Redis was away holds the others too. Those that were ended meanwhile stay ended.
 */
import type { KillLatch } from './latch.ts';
import type { LeveledLogger } from '../../logger.ts';
import type { RulesStore } from '../rules/store.ts';
import { addKills } from '../rules/transitions.ts';

export class KillCourier {
  private readonly latch: KillLatch;
  private readonly store: RulesStore;
  private readonly logger: LeveledLogger;
  private readonly stop: () => void;
  private isUnderWay = false;

  constructor(latch: KillLatch, store: RulesStore, logger: LeveledLogger) {
    this.latch = latch;
    this.store = store;
    this.logger = logger;
    this.stop = store.onReached(() => void this.deliver());
  }

  close(): void {
    this.stop();
  }

  private async deliver(): Promise<void> {
    const kills = this.latch.unwritten();
    const [first] = kills;
    if (first === undefined || this.isUnderWay) return;
    this.isUnderWay = true;
    try {
      const rules = await this.store.change(addKills(kills), { who: first.who, reason: first.reason });
      // Those that the rules know as ended are dropped by this, the others take their place in them.
      this.latch.follow(rules);
      this.logger.warn(
        { kills: kills.map(({ id }) => id) },
        'kills heard while the rules were away are in them',
      );
    } catch (error) {
      this.logger.warn({ err: error }, 'a kill that was heard here is not in the rules yet');
    } finally {
      this.isUnderWay = false;
    }
  }
}
