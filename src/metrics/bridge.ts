/** The metrics of bridges: totals and states, read at each collection. */
import type { BridgeHealth } from '../../schema/http.ts';
import { Instruments } from './instruments.ts';

/** Profiles are few, and named by the operator: they may be labels. */
export interface BridgeFigures
  extends Pick<BridgeHealth, 'profile' | 'kind' | 'state' | 'isFed' | 'lagSeconds'> {
  readonly counts: Readonly<Record<'events' | 'duplicates' | 'badItems' | 'gaps' | 'restarts', number>>;
}

export class BridgeMetrics extends Instruments {
  private readonly counts = {
    events: this.total('events', "events of profiles' sources that were stored"),
    duplicates: this.total('duplicates', 'items that were in the log already'),
    badItems: this.total('bad_items', 'items that are no event and were left out'),
    gaps: this.total('gaps', 'items, or stretches of unknown length, that were lost'),
    restarts: this.total('restarts', 'times that reading a source failed'),
  };
  private readonly lag = this.state('lag_seconds', "from the source's time of the newest item to its append");
  private readonly leader = this.state('leader', '1 on the node that bridges');
  private readonly fed = this.state(
    'fed',
    '1 while some node reads the source; else old polls are left to the old backend',
  );

  set(bridges: readonly BridgeFigures[]): void {
    const names = ['events', 'duplicates', 'badItems', 'gaps', 'restarts'] as const;
    for (const name of names) this.counts[name].reset();
    for (const { profile, kind, state, isFed, lagSeconds, counts } of bridges) {
      const labels = { profile, kind };
      this.lag.set(labels, lagSeconds);
      this.leader.set(labels, state === 'leading' || state === 'waiting' ? 1 : 0);
      this.fed.set(labels, isFed ? 1 : 0);
      for (const name of names) this.counts[name].inc(labels, counts[name]);
    }
  }

  private total(name: string, help: string) {
    return this.counter(`turnout_bridge_${name}_total`, help, ['profile', 'kind']);
  }

  private state(name: string, help: string) {
    return this.gauge(`turnout_bridge_${name}`, help, ['profile', 'kind']);
  }
}
