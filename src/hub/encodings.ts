/**
 * What was encoded in this turn of the event loop. Groups with other services, or another limit, are mostly given the same
 * entries: each run of them is encoded, and deflated, once for all groups of an org, however many there are.
 */
import type { LogEntry } from '../log/entry.ts';
import type { Form } from './chunk.ts';

interface Encoded {
  readonly encode: Form['encode'];
  readonly entries: readonly LogEntry[];
  readonly epoch: string;
  readonly result: ReturnType<Form['encode']>;
}

// Runs that begin with one entry and are told apart: past them a run is encoded for its group alone.
const maxRuns = 16;

export class Encodings {
  private readonly byFirst = new Map<LogEntry, Encoded[]>();
  private readonly sharing = new WeakMap<Form['encode'], Form['encode']>();

  /** Returns an `encode` whose results are shared by all that were made of the same one. */
  shared(encode: Form['encode']): Form['encode'] {
    let sharing = this.sharing.get(encode);
    if (sharing === undefined) {
      sharing = (entries, epoch) => this.once(encode, entries, epoch);
      this.sharing.set(encode, sharing);
    }
    return sharing;
  }

  private once(encode: Form['encode'], entries: readonly LogEntry[], epoch: string): Encoded['result'] {
    const [first] = entries;
    const known = first && this.byFirst.get(first);
    const same = known?.find(
      (made) => made.encode === encode && made.epoch === epoch && isSameRun(made.entries, entries),
    );
    if (same !== undefined) return same.result;
    const result = encode(entries, epoch);
    if (first === undefined || (known?.length ?? 0) >= maxRuns) return result;
    // One turn of the loop is enough for all who are fed together, and nothing outlives it.
    if (this.byFirst.size === 0) setImmediate(() => this.byFirst.clear());
    this.byFirst.set(first, [...(known ?? []), { encode, entries, epoch, result }]);
    return result;
  }
}

/** The same entries, not only equal ones: the ring and the pages give each out as one object. */
const isSameRun = (some: readonly LogEntry[], others: readonly LogEntry[]): boolean =>
  some.length === others.length && some.every((entry, at) => entry === others[at]);
