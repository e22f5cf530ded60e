/**
 * A histogram cheap enough for the fan-out: one addition for a whole group of clients that were given the same bytes in
 * the same tick. Rendered by prom-client's registry like any other metric.
 */
import type { Metric, Registry } from 'prom-client';

interface WeightedHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
  readonly registry: Registry;
}

interface Tally {
  /** One for each bucket, and a last one for values above all bounds; not cumulative. */
  readonly counts: number[];
  sum: number;
}

export class WeightedHistogram {
  private readonly byLabel = new Map<string, Tally>();

  constructor(private readonly options: WeightedHistogramOptions) {
    const { name, help, label, registry } = options;
    const described = { name, help, type: 'histogram', aggregator: 'sum', labelNames: [label] };
    const metric = { ...described, get: async () => ({ ...described, values: this.values() }) };
    // A registry asks a metric for `name` and `get` only, which its type doesn't say.
    registry.registerMetric(metric as unknown as Metric);
  }

  /**
   * Adds `times` observations of `span`. A span between two clocks may come out negative: it counts as 0, since Prometheus
   * reads a sum that falls as a restart.
   */
  observe(label: string, span: number, times = 1): void {
    const value = Math.max(0, span);
    let tally = this.byLabel.get(label);
    if (tally === undefined) {
      tally = { counts: this.options.buckets.map(() => 0).concat(0), sum: 0 };
      this.byLabel.set(label, tally);
    }
    const { buckets } = this.options;
    let place = 0;
    while (place < buckets.length && value > (buckets[place] ?? 0)) place += 1;
    tally.counts[place] = (tally.counts[place] ?? 0) + times;
    tally.sum += value * times;
  }

  private values() {
    const { name, label, buckets } = this.options;
    const values: { metricName: string; labels: Record<string, string>; value: number }[] = [];
    for (const [labelValue, { counts, sum }] of this.byLabel) {
      let total = 0;
      for (const [place, count] of counts.entries()) {
        total += count;
        const le = buckets[place] === undefined ? '+Inf' : String(buckets[place]);
        values.push({ metricName: `${name}_bucket`, labels: { le, [label]: labelValue }, value: total });
      }
      values.push({ metricName: `${name}_sum`, labels: { [label]: labelValue }, value: sum });
      values.push({ metricName: `${name}_count`, labels: { [label]: labelValue }, value: total });
    }
    return values;
  }
}
