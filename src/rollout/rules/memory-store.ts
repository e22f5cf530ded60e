/** The rules of one process on the embedded log: nothing outlives a restart but what the environment says again. */
import type { AuditEntry, TrailEntry } from '../../../schema/audit.ts';
import { Listeners } from '../../async/listeners.ts';
import type { Clock } from '../../clock.ts';
import type { LeveledLogger } from '../../logger.ts';
import { type Author, byEnvironment } from './author.ts';
import type { Pace } from './open-changes.ts';
import type { Rules } from './rules.ts';
import type { RulesHealth, RulesStore } from './store.ts';
import { logDeed, trailLimits } from './trail.ts';
import { type Change, conflict, stamp, type Transition } from './transitions.ts';

export class MemoryRulesStore implements RulesStore {
  readonly ready = Promise.resolve();
  private rules: Rules;
  private readonly trail: TrailEntry[] = [];
  /** How many entries of the trail are whose. */
  private readonly byAuthor = new Map<string, number>();
  private kept = 0;
  private readonly listeners = new Listeners<[Rules]>();

  constructor(
    private readonly options: {
      readonly clock: Clock;
      readonly pace: Pace;
      readonly first: Change;
      readonly logger: LeveledLogger;
    },
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
      throw conflict(version, expected, await this.audit(trailLimits.entries));
    const change = transition(this.rules);
    if (change === undefined) return this.rules;
    this.rules = this.write(change, by, this.rules);
    this.listeners.tell(this.rules);
    return this.rules;
  }

  async note(entry: Omit<AuditEntry, 'version' | 'at'>): Promise<void> {
    const { version } = this.rules;
    logDeed(this.options.logger, { version, ...entry }, 'noted in the audit trail');
    this.keep({ version, at: new Date(this.nowMs()).toISOString(), ...entry });
  }

  async audit(limit: number, before?: string): Promise<readonly TrailEntry[]> {
    const most = before === undefined ? Number.POSITIVE_INFINITY : numberOf(before);
    return this.trail
      .filter(({ id }) => numberOf(id) < most)
      .slice(-limit)
      .toReversed();
  }

  close(): void {
    this.listeners.clear();
  }

  private write(change: Change, by: Author, before: Rules | undefined): Rules {
    const { clock, pace } = this.options;
    const [rules, entry] = stamp(change, { nonce: clock.tag(48), nowMs: clock.now(), before }, by, pace);
    logDeed(this.options.logger, entry);
    this.keep(entry);
    return rules;
  }

  private keep(entry: AuditEntry): void {
    this.kept += 1;
    this.trail.push({ ...entry, id: `${this.kept}-0` });
    this.countOf(entry.who, 1);
    if ((this.byAuthor.get(entry.who) ?? 0) > trailLimits.ofOneAuthor)
      this.drop(this.trail.findIndex(({ who }) => who === entry.who));
    else if (this.trail.length > trailLimits.entries) this.drop(0);
  }

  private drop(at: number): void {
    for (const { who } of this.trail.splice(at, 1)) this.countOf(who, -1);
  }

  private countOf(who: string, more: 1 | -1): void {
    const count = (this.byAuthor.get(who) ?? 0) + more;
    if (count === 0) this.byAuthor.delete(who);
    else this.byAuthor.set(who, count);
  }
}

/** Ids have the form of those in Redis. */
const numberOf = (id: string): number => Number(id.split('-')[0]);
