/** A set of metrics in one registry: each is declared by its name, its help and its labels. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export class Instruments {
  constructor(readonly registry = new Registry()) {}

  protected counter<Label extends string = never>(name: string, help: string, labelNames: Label[] = []) {
    return new Counter<Label>({ name, help, labelNames, registers: [this.registry] });
  }

  protected gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []) {
    return new Gauge<Label>({ name, help, labelNames, registers: [this.registry] });
  }

  /** @param buckets upper bounds, in seconds */
  protected histogram<Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[] = [],
  ) {
    return new Histogram<Label>({ name, help, buckets, labelNames, registers: [this.registry] });
  }
}
