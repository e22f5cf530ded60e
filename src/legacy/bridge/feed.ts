/**
 * From a source's batches to the log, for as long as one turn of the lease lasts: an append first, then the checkpoint, never
 * the other way round. Whatever fails is done again as a whole: the log stores each id once, and nothing of an earlier turn.
 */
import type { Clock } from '../../clock.ts';
import type { PreparedEvent } from '../../log/entry.ts';
import { bridgePublisher, type EventLog, Fenced, LogDamaged } from '../../log/event-log.ts';
import type { Logger } from '../../logger.ts';
import { chunksOf, eventOf, holeAt } from './batch.ts';
import { type BridgeTally, faultText } from './health.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { bridgedServiceOf, holeService } from '../dialect/source-entry.ts';
import type { Lease } from './lease.ts';
import { idsAtTail } from './log-tail.ts';
import { retryUntilAborted } from '../../async/retry.ts';
import type { SourceBatch, SourceFeed } from './source.ts';

export interface BridgeFeedParts {
  readonly dialect: Dialect;
  readonly log: Pick<EventLog, 'append' | 'read'>;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tally: BridgeTally;
  /** Ends this feed. */
  readonly signal: AbortSignal;
  /**
   * This turn is over: another node has one. `isRewound`: Redis has lost what it had acknowledged, and the source is read
   * again from the place that Redis knows of.
   */
  readonly onOver: (isRewound: boolean) => void;
}

const maxLoggedPerBatch = 3;
const quietMs = 10_000;
const damagedMs = 5000;
const nothing: ReadonlySet<string> = new Set();

export class BridgeFeed implements SourceFeed {
  readonly signal: AbortSignal;
  /** It has read, and can't hand on. */
  isWaiting = false;
  private hasSource = false;
  private readonly publisher: string;
  private readonly service: string;
  /** By lane and org: what stood in the log when the lane was taken up. */
  private readonly tails = new Map<string, ReadonlySet<string>>();
  private readonly positions = new Map<string, string | undefined>();
  /** Orgs that have lost something of their source, and whose log has no mark of it yet. */
  private readonly torn = new Set<string>();
  /** Orgs whose log is damaged, since when. */
  private readonly damagedSinceMs = new Map<string, number>();
  private readonly turn: number | undefined;
  private isTold = false;
  private quietUntilMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: BridgeFeedParts) {
    this.signal = parts.signal;
    this.turn = parts.lease.turn;
    const { profile } = parts.dialect;
    this.publisher = bridgePublisher(profile.name);
    this.service = bridgedServiceOf(profile) ?? '';
  }

  /** What the source has comes into the log. */
  get isWell(): boolean {
    return this.hasSource && !this.isWaiting;
  }

  async position(lane: string): Promise<string | undefined> {
    const position = await this.untilDone(() => this.parts.lease.position(lane));
    this.positions.set(lane, position);
    return position;
  }

  async take(batch: SourceBatch): Promise<void> {
    const { tally } = this.parts;
    const { lane, items, position } = batch;
    tally.begins(lane, items[0]?.ms);
    const byOrg = [...this.prepared(batch)];
    const stored = new Set<string>();
    const attempt = async (): Promise<void> => {
      await Promise.all(byOrg.map(([org, events]) => this.store(batch, org, events, stored)));
      if (position !== undefined) await this.keep(lane, position);
    };
    await this.untilDone(attempt, () => {
      // What stood in the log may be lost with the Redis that it was.
      for (const [org] of byOrg) this.tails.delete(tailKey(lane, org));
    });
    tally.counts.duplicates += byOrg.reduce((sum, [, { length }]) => sum + length, -stored.size);
    tally.ends(lane, items.at(-1)?.ms);
  }

  gap(what: string, count = 1, org?: string): void {
    const { tally, logger, dialect } = this.parts;
    if (org !== undefined) this.torn.add(org);
    tally.counts.gaps += count;
    logger.error({ profile: dialect.profile.name, count }, `the bridge has a gap: ${what}`);
  }

  advise(what: string): void {
    const { logger, dialect } = this.parts;
    logger.warn({ profile: dialect.profile.name }, `the bridge's source: ${what}`);
  }

  worked(): void {
    const { tally, logger, dialect } = this.parts;
    if (this.isTold) logger.info({ profile: dialect.profile.name }, "the bridge's source is back");
    this.isTold = false;
    this.hasSource = true;
    if (!this.isWaiting) tally.lastError = undefined;
  }

  failed(error: unknown): void {
    const { tally, logger, dialect, clock } = this.parts;
    tally.counts.restarts += 1;
    this.hasSource = false;
    tally.lastError = `source: ${faultText(error)}`;
    const fields = { profile: dialect.profile.name, fault: faultText(error) };
    // Of a thousand readers one may fail for ever, while the others say that all is well.
    if (this.isTold || clock.monotonic() < this.quietUntilMs) return;
    this.isTold = true;
    this.quietUntilMs = clock.monotonic() + quietMs;
    logger.warn(fields, "the bridge's source is away: it is tried again");
  }

  /** Items as events by org, in their order; what is no event is counted, and leaves a hole in its place. */
  private prepared({ org: batchOrg, items }: SourceBatch): Map<string, PreparedEvent[]> {
    const byOrg = new Map<string, PreparedEvent[]>();
    const { dialect, logger, tally } = this.parts;
    let bad = 0;
    for (const item of items) {
      const { org, event, why } = eventOf(dialect, item, batchOrg);
      if (why !== undefined) {
        bad += 1;
        const fields = { profile: dialect.profile.name, at: item.at, why };
        if (bad <= maxLoggedPerBatch) logger.warn(fields, 'an item of the source is left out');
      }
      if (org === undefined) continue;
      const events = byOrg.get(org) ?? [];
      byOrg.set(org, events);
      if (this.torn.delete(org)) events.push(holeAt(`${org} before ${item.at}`));
      events.push(event);
    }
    tally.counts.badItems += bad;
    return byOrg;
  }

  /** A damaged log of one org holds up the others of its lane for a while; then what it can't take is a gap of its own. */
  private async store(
    batch: SourceBatch,
    org: string,
    events: readonly PreparedEvent[],
    stored: Set<string>,
  ): Promise<void> {
    try {
      await this.append(batch, org, events, stored);
      this.damagedSinceMs.delete(org);
    } catch (error) {
      if (!(error instanceof LogDamaged)) throw error;
      const nowMs = this.parts.clock.monotonic();
      const sinceMs = this.damagedSinceMs.get(org) ?? nowMs;
      this.damagedSinceMs.set(org, sinceMs);
      if (nowMs - sinceMs < damagedMs) throw error;
      for (const { id } of events) stored.add(id);
      this.gap(`the log of ${org} is damaged`, events.length, org);
    }
  }

  /** @param stored gets the ids that were new to the log */
  private async append(
    { lane, position }: SourceBatch,
    org: string,
    events: readonly PreparedEvent[],
    stored: Set<string>,
  ): Promise<void> {
    const { log, lease, tally } = this.parts;
    const key = tailKey(lane, org);
    const tail = this.tails.get(key) ?? (await idsAtTail(log, org, this.service));
    for (const chunk of chunksOf(events.filter(({ id }) => !tail.has(id)))) {
      // A log that lost its end would take these without those before them, and be out of order for ever. The batch's own
      // position stands there where the answer to keeping it was lost.
      const stands = await lease.position(lane);
      const isKept = stands !== undefined && stands === position;
      if (!isKept && stands !== this.positions.get(lane)) this.end(true);
      // Not left to the fence alone: it shuts at the other node's first append.
      if (!lease.isValid) throw new Error('it ran out');
      const { results } = await log.append(org, this.publisher, chunk, this.turn);
      for (const [at, { id, duplicate }] of results.entries()) {
        if (duplicate === true) continue;
        stored.add(id);
        if (chunk[at]?.service !== holeService) tally.counts.events += 1;
      }
    }
    // Past the first new one nothing of the lane can stand in the log already.
    const last = events.at(-1);
    this.tails.set(key, last !== undefined && tail.has(last.id) ? tail : nothing);
  }

  private async keep(lane: string, position: string): Promise<void> {
    const outcome = await this.parts.lease.keep(lane, position, this.positions.get(lane));
    if (outcome !== 'kept') this.end(outcome === 'rewound');
    this.positions.set(lane, position);
  }

  private end(isRewound: boolean): never {
    if (!this.signal.aborted) this.parts.onOver(isRewound);
    throw new Error(isRewound ? 'Redis has gone back in time' : 'another node has the lease');
  }

  /** Does it again until it is done. Rejects when the feed ends. */
  private async untilDone<T>(run: () => Promise<T>, onFailure?: () => void): Promise<T> {
    const { clock, signal, tally, lease } = this.parts;
    let done: { readonly value: T } | undefined;
    const attempt = async (): Promise<void> => {
      done = { value: await run() };
      if (this.isWaiting) tally.lastError = undefined;
      this.isWaiting = false;
    };
    await retryUntilAborted(attempt, {
      clock,
      signal,
      onFailure: (error) => {
        if (error instanceof Fenced) this.parts.onOver(false);
        onFailure?.();
        this.isWaiting = true;
        tally.lastError = `${lease.isValid ? 'log' : 'lease'}: ${faultText(error)}`;
      },
    });
    if (done === undefined) throw new Error('the bridge has ended');
    return done.value;
  }
}

const tailKey = (lane: string, org: string): string => `${lane}\n${org}`;
