/**
 * The rules of a fleet: one document in Redis, changed by compare-and-set, pushed by pub/sub, read again every two seconds
 * and on each reconnect. A node that finds an older document than its own puts its own back, so neither an emptied Redis
 * nor one that lost writes takes a rollback from anybody (docs/ARCHITECTURE.md, 'The rules document').
 */
import { Listeners } from '../../async/listeners.ts';
import type { AuditEntry, TrailEntry } from '../../../schema/audit.ts';
import type { Clock } from '../../clock.ts';
import { fail } from '../../errors.ts';
import type { LeveledLogger } from '../../logger.ts';
import { type Author, byEnvironment, byRestore } from './author.ts';
import { parseRules, RulesDocument, storedRules } from './document.ts';
import type { RulesLink } from './link.ts';
import { PacedRuns } from '../../async/paced-runs.ts';
import type { Pace } from './open-changes.ts';
import type { RulesKeys } from './redis.ts';
import { isNewer, type Rules } from './rules.ts';
import type { RulesHealth, RulesStore } from './store.ts';
import { logDeed } from './trail.ts';
import { type Change, conflict, stamp, type Transition } from './transitions.ts';

const readEveryMs = 2000;
const readPaceMs = 250;
/** How long a start tries to read before the node serves without rules. */
const startMs = 2000;
/** Compare-and-sets that one change may lose: each loss means that another was written. */
const maxTries = 20;

interface RedisRulesOptions {
  readonly link: RulesLink;
  readonly keys: RulesKeys;
  readonly clock: Clock;
  readonly logger: LeveledLogger;
  /** Windows of what this node writes. */
  readonly pace: Pace;
  /**
   * Asked once, when the rules were first read: what the environment has to write. Undefined `stored`: nothing was ever
   * written. It is asked again when another node was first.
   */
  readonly found: (stored: Rules | undefined) => Change | undefined;
}

export class RedisRulesStore implements RulesStore {
  readonly ready: Promise<void>;
  private readonly link: RulesLink;
  private readonly document: RulesDocument;
  private readonly reads: PacedRuns;
  private readonly listeners = new Listeners<[Rules]>();
  private readonly closers: readonly (() => void)[];
  private held: Rules | undefined;
  private hasFounded = false;
  /** Redis's clock minus ours, from the last read. */
  private offsetMs = 0;
  private becomeReady: () => void = () => {};

  /** Begins to read and to listen. */
  constructor(private readonly options: RedisRulesOptions) {
    const { link, keys, clock } = options;
    this.link = link;
    this.document = new RulesDocument(link, keys);
    this.reads = new PacedRuns(clock, readPaceMs, () => this.read());
    this.ready = new Promise((resolve) => {
      this.becomeReady = resolve;
    });
    const look = (): void => void this.reads.next();
    this.closers = [
      link.subscribe(keys.changed, (message) => void this.hear(message), look),
      clock.every(readEveryMs, look),
      clock.after(startMs, () => this.becomeReady()),
    ];
    look();
  }

  current(): Rules | undefined {
    return this.held;
  }

  health(): RulesHealth {
    return this.link.health(this.held !== undefined);
  }

  nowMs(): number {
    return this.options.clock.now() + this.offsetMs;
  }

  refresh(version?: number): Promise<void> {
    return this.reads.until(() => version !== undefined && (this.held?.version ?? 0) >= version);
  }

  subscribe(listener: (rules: Rules) => void): () => void {
    return this.listeners.add(listener);
  }

  onReached(listener: () => void): () => void {
    return this.link.onReached.add(listener);
  }

  async change(transition: Transition, by: Author, expected?: number): Promise<Rules> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      // Whoever comes right at the start waits for the first read, and for what the environment has to write.
      if (this.held === undefined) await this.ready;
      if (this.held === undefined) await this.fetch();
      const { held } = this;
      if (held === undefined) throw fail('log_unavailable', 'this node has not read the rules yet');
      if (expected !== undefined && expected !== held.version) {
        // The author may have seen rules that this node has not heard of.
        if (expected > held.version && tries === 0) {
          await this.fetch();
          continue;
        }
        throw conflict(held.version, expected, await this.audit(50));
      }
      const change = transition(held);
      if (change === undefined) return held;
      const written = await this.write(change, by, held);
      if (written !== undefined) return written;
    }
    throw fail('version_conflict', 'the rules are being changed by others faster than this change could be');
  }

  async note(entry: Omit<AuditEntry, 'version' | 'at'>): Promise<void> {
    const version = this.held?.version ?? 0;
    // First: a trail that can't be written must not hide the deed.
    logDeed(this.options.logger, { version, ...entry }, 'noted in the audit trail');
    await this.document.note({ version, at: new Date(this.nowMs()).toISOString(), ...entry });
  }

  audit(limit: number, before?: string): Promise<readonly TrailEntry[]> {
    return this.document.trail(limit, before);
  }

  close(): void {
    for (const close of this.closers.toReversed()) close();
    this.listeners.clear();
    this.link.onReached.clear();
  }

  /** One read of the document. Never rejects. */
  private async read(): Promise<void> {
    try {
      await this.fetch();
      await this.found();
    } catch (error) {
      this.link.failed(error);
      return;
    }
    this.link.succeeded();
    this.becomeReady();
    this.link.onReached.tell();
  }

  /** @throws log_unavailable */
  private async fetch(): Promise<void> {
    const { clock } = this.options;
    const { nowMs, json } = await this.document.read(this.held);
    this.offsetMs = nowMs - clock.now();
    this.link.answered();
    if (json !== undefined) await this.meet(storedRules(json));
  }

  /** Lets the environment write what it has to, once: the first rules, or changed ones that nobody else ever wrote. */
  private async found(): Promise<void> {
    if (this.hasFounded) return;
    for (let tries = 0; tries < maxTries; tries += 1) {
      const before = this.held;
      const change = this.options.found(before);
      if (change === undefined || (await this.write(change, byEnvironment, before)) !== undefined) {
        this.hasFounded = true;
        return;
      }
    }
  }

  /** Undefined: another document stood there, and was met. @throws log_unavailable */
  private async write(change: Change, by: Author, before: Rules | undefined): Promise<Rules | undefined> {
    const { clock, pace } = this.options;
    const [rules, entry] = stamp(change, { nonce: clock.tag(48), nowMs: this.nowMs(), before }, by, pace);
    const outcome = await this.document.replace(before, rules, entry);
    if (!outcome.isWritten) {
      await this.meet(outcome.stored);
      return undefined;
    }
    this.link.wrote();
    logDeed(this.options.logger, entry);
    this.adopt(rules);
    return rules;
  }

  private async hear(message: string): Promise<void> {
    try {
      await this.meet(parseRules(message));
    } catch (error) {
      this.link.failed(error);
    }
  }

  /** Brings what stands in Redis and what this node holds together: the newer of the two holds. */
  private async meet(stored: Rules | undefined): Promise<void> {
    const { held } = this;
    if (held === undefined) {
      if (stored !== undefined) this.adopt(stored);
      return;
    }
    if (stored !== undefined && stored.version === held.version && stored.nonce === held.nonce) return;
    if (stored !== undefined && isNewer(stored, held)) {
      const isUsurper = stored.origin === 'environment' && held.origin === 'operator';
      if (!isUsurper) return this.adopt(stored);
      // A node that started on an emptied Redis wrote what its environment says: what an operator said holds.
      const change: Change = { content: held, action: 'restore', from: stored.version, to: held.version };
      await this.write(change, byRestore, stored);
      return;
    }
    if (await this.document.putBack(held))
      this.options.logger.warn(
        { version: held.version, found: stored?.version ?? 0 },
        'Redis had older rules than this node: they were put back',
      );
  }

  private adopt(rules: Rules): void {
    if (this.held !== undefined && !isNewer(rules, this.held)) return;
    this.held = rules;
    this.listeners.tell(rules);
  }
}
