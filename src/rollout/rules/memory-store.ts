/** The rules of one process on the embedded log: nothing outlives a restart but what the environment says again. */
import type { AuditEntry } from '../../../schema/admin.ts';
import { Listeners } from '../../async/listeners.ts';
import type { Clock } from '../../clock.ts';
import { fail } from '../../errors.ts';
import type { Pace } from './open-changes.ts';
import type { Rules } from './rules.ts';
import type { RulesHealth, RulesStore } from './store.ts';
import {
  type Author,
  byEnvironment,
  type Change,
  firstStory,
  stamp,
  type Transition,
} from './transitions.ts';

/** Lines of the trail that are kept; the oldest go first. */
const maxEntries = 10_000;

interface MemoryRulesOptions {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly first: Change;
}

export class MemoryRulesStore implements RulesStore {
  readonly ready = Promise.resolve();
  private readonly clock: Clock;
  private readonly pace: Pace;
  private rules: Rules;
  private readonly trail: AuditEntry[] = [];
  private readonly listeners = new Listeners<[Rules]>();

  constructor(options: MemoryRulesOptions) {
    const { clock, pace, first } = options;
    this.clock = clock;
    this.pace = pace;
    // Seconds, so that a restart within the life of a client never goes back below what it was told.
    this.rules = this.write(first, Math.floor(clock.now() / 1000), byEnvironment, undefined);
  }

  current(): Rules {
    return this.rules;
  }

  health(): RulesHealth {
    return { isUp: true, detail: 'in memory', ageMs: 0 };
  }

  nowMs(): number {
    return this.clock.now();
  }

  async refresh(): Promise<void> {}

  subscribe(listener: (rules: Rules) => void): () => void {
    return this.listeners.add(listener);
  }

  /** Never: whoever asks this store reaches it. */
  onReached(): () => void {
    return () => undefined;
  }

  async change(transition: Transition, by: Author, expected?: number): Promise<Rules> {
    if (expected !== undefined && expected !== this.rules.version)
      throw fail('version_conflict', this.whoWasFirst(expected));
    const change = transition(this.rules);
    if (change === undefined) return this.rules;
    this.rules = this.write(change, this.rules.version + 1, by, this.rules);
    this.listeners.tell(this.rules);
    return this.rules;
  }

  async note(entry: Omit<AuditEntry, 'version' | 'at'>): Promise<void> {
    this.keep({ version: this.rules.version, at: new Date(this.clock.now()).toISOString(), ...entry });
  }

  async audit(limit: number): Promise<readonly AuditEntry[]> {
    return this.trail.slice(-limit).toReversed();
  }

  close(): void {
    this.listeners.clear();
  }

  private write(change: Change, version: number, by: Author, before: Rules | undefined): Rules {
    const at = { version, nonce: this.clock.tag(48), nowMs: this.clock.now(), before };
    const [rules, entry] = stamp(change, at, by, this.pace);
    this.keep(entry);
    return rules;
  }

  private keep(entry: AuditEntry): void {
    this.trail.push(entry);
    if (this.trail.length > maxEntries) this.trail.shift();
  }

  private whoWasFirst(expected: number): string {
    const { version } = this.rules;
    return firstStory(
      version,
      expected,
      this.trail.findLast((entry) => entry.version === version),
    );
  }
}
