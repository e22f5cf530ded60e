/** The rules of one process on the embedded log: nothing outlives a restart but what the environment says again. */
import type { AuditEntry } from '../../../schema/admin.ts';
import { Listeners } from '../../async/listeners.ts';
import type { Clock } from '../../clock.ts';
import type { Pace } from './open-changes.ts';
import type { Rules } from './rules.ts';
import type { RulesHealth, RulesStore } from './store.ts';
import { type Author, byEnvironment, type Change, conflict, stamp, type Transition } from './transitions.ts';

/** Lines of the trail that are kept; the oldest go first. */
const maxEntries = 10_000;

export class MemoryRulesStore implements RulesStore {
  readonly ready = Promise.resolve();
  private rules: Rules;
  private readonly trail: AuditEntry[] = [];
  private readonly listeners = new Listeners<[Rules]>();

  constructor(
    private readonly options: { readonly clock: Clock; readonly pace: Pace; readonly first: Change },
  ) {
    this.rules = this.write(options.first, byEnvironment, undefined);
  }

  current(): Rules {
    return this.rules;
  }

  health(): RulesHealth {
    return { isUp: true, detail: 'in memory', ageMs: 0 };
  }

  nowMs(): number {
    return this.options.clock.now();
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
    const { version } = this.rules;
    if (expected !== undefined && expected !== version)
      throw conflict(version, expected, await this.audit(maxEntries));
    const change = transition(this.rules);
    if (change === undefined) return this.rules;
    this.rules = this.write(change, by, this.rules);
    this.listeners.tell(this.rules);
    return this.rules;
  }

  async note(entry: Omit<AuditEntry, 'version' | 'at'>): Promise<void> {
    this.keep({ version: this.rules.version, at: new Date(this.nowMs()).toISOString(), ...entry });
  }

  async audit(limit: number): Promise<readonly AuditEntry[]> {
    return this.trail.slice(-limit).toReversed();
  }

  close(): void {
    this.listeners.clear();
  }

  private write(change: Change, by: Author, before: Rules | undefined): Rules {
    const { clock, pace } = this.options;
    const [rules, entry] = stamp(change, { nonce: clock.tag(48), nowMs: clock.now(), before }, by, pace);
    this.keep(entry);
    return rules;
  }

  private keep(entry: AuditEntry): void {
    this.trail.push(entry);
    if (this.trail.length > maxEntries) this.trail.shift();
  }
}
