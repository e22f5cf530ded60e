/** The metrics of bridges: totals and states, read at each collection. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { BridgeHealth } from '../../schema/http.ts';

/** Profiles are few, and named by the operator: they may be labels. */
export interface BridgeFigures
  extends Pick<BridgeHealth, 'profile' | 'kind' | 'state' | 'isFed' | 'lagSeconds'> {
  readonly counts: Readonly<Record<'events' | 'duplicates' | 'badItems' | 'gaps' | 'restarts', number>>;
}

export class BridgeMetrics {
  private readonly counts: Readonly<Record<keyof BridgeFigures['counts'], Counter<'profile' | 'kind'>>>;
  private readonly lag: Gauge<'profile' | 'kind'>;
  private readonly leader: Gauge<'profile' | 'kind'>;
  private readonly fed: Gauge<'profile' | 'kind'>;

  constructor(registry: Registry) {
    const shared = { labelNames: ['profile', 'kind'] as const, registers: [registry] };
    const counter = (name: string, help: string) =>
      new Counter({ name: `turnout_bridge_${name}_total`, help, ...shared });
    const gauge = (name: string, help: string) =>
      new Gauge({ name: `turnout_bridge_${name}`, help, ...shared });
    this.counts = {
      events: counter('events', "events of profiles' sources that were stored"),
      duplicates: counter('duplicates', 'items that were in the log already'),
      badItems: counter('bad_items', 'items that are no event and were left out'),
      gaps: counter('gaps', 'items, or stretches of unknown length, that were lost'),
      restarts: counter('restarts', 'times that reading a source failed'),
    };
    this.lag = gauge('lag_seconds', "from the source's time of the newest item to its append");
    this.leader = gauge('leader', '1 on the node that bridges');
    this.fed = gauge('fed', '1 while some node reads the source; else old polls are left to the old backend');
  }

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
}
