/**
 * From a source's batches to the log, for as long as one lease lasts: an append first, then the checkpoint, never the
 * other way round; nothing of either while another node could hold the lease.
 */
import { type Clock, pause } from '../../clock.ts';
import type { PreparedEvent } from '../../log/entry.ts';
import { type EventLog, Fenced } from '../../log/event-log.ts';
import type { Logger } from '../../logger.ts';
import { chunksOf, eventOf } from './batch.ts';
import { type BridgeTally, faultText } from './health.ts';
import type { Checkpoints } from './checkpoint.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { holeAt, holeService } from './hole.ts';
import type { Lease } from './lease.ts';
import { idsAtTail } from './log-tail.ts';
import { retryUntilAborted } from '../../async/retry.ts';
import type { SourceBatch, SourceFeed, SourceItem } from './source.ts';

export interface BridgeFeedParts {
  readonly dialect: Dialect;
  readonly log: Pick<EventLog, 'append' | 'read'>;
  readonly lease: Lease;
  readonly checkpoints: Checkpoints;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tally: BridgeTally;
  /** Ends this feed. */
  readonly signal: AbortSignal;
  /** The lease turned out to be another node's. */
  readonly onLost: () => void;
  /** Redis has lost what it had acknowledged: the source is read again from where it knows of. */
  readonly onRewound: () => void;
}

/** How one batch fares. */
interface Way {
  /** Where its lane will stand behind it. */
  readonly position: string | undefined;
  /** Tries that failed, or had to wait for the lease: Redis may have been another one before. */
  troubles: number;
  /** Events of it, holes included, that were new to the log. */
  stored: number;
}

const leaseLookMs = 25;
const maxLoggedPerBatch = 3;
const quietMs = 10_000;

export class BridgeFeed implements SourceFeed {
  readonly signal: AbortSignal;
  /** It has read, and can't hand on. */
  isWaiting = false;
  private hasSource = false;
  private readonly parts: BridgeFeedParts;
  private readonly publisher: string;
  private readonly service: string;
  /** By lane and org: what stood in the log when the lane was taken up. */
  private readonly tails = new Map<string, ReadonlySet<string>>();
  private readonly positions = new Map<string, string>();
  /** Orgs that have lost something of their source, and whose log has no mark of it yet. */
  private readonly torn = new Set<string>();
  private readonly turn: number;
  private readonly fence: number | undefined;
  private isTold = false;
  private quietUntilMs = Number.NEGATIVE_INFINITY;

  constructor(parts: BridgeFeedParts) {
    this.parts = parts;
    this.signal = parts.signal;
    this.turn = parts.lease.turn;
    this.fence = parts.lease.fence;
    const { name, source, request } = parts.dialect.profile;
    this.publisher = `bridge/${name}`;
    this.service = source?.service ?? request.services.fixed[0] ?? '';
  }

  /** What the source has comes into the log. */
  get isWell(): boolean {
    return this.hasSource && !this.isWaiting;
  }

  async position(lane: string): Promise<string | undefined> {
    const position = await this.untilDone(() => this.parts.checkpoints.read(lane));
    if (position === undefined) this.positions.delete(lane);
    else this.positions.set(lane, position);
    return position;
  }

  async take(batch: SourceBatch): Promise<void> {
    const { tally } = this.parts;
    tally.begins(batch.lane, batch.items[0]?.ms);
    const byOrg = this.prepared(batch);
    const way: Way = { position: batch.position, troubles: 0, stored: 0 };
    let seen: number | undefined;
    const store = async (): Promise<void> => {
      while (seen !== way.troubles) {
        // What Redis had acknowledged, and what stood in its log, may be lost with the Redis that it was.
        if (seen !== undefined) for (const org of byOrg.keys()) this.tails.delete(tailKey(batch.lane, org));
        seen = way.troubles;
        await Promise.all([...byOrg].map(([org, events]) => this.store(batch.lane, org, events, way)));
      }
    };
    await store();
    if (batch.position !== undefined) await this.keep(batch.lane, batch.position, store, way);
    const count = [...byOrg.values()].reduce((sum, events) => sum + events.length, 0);
    tally.counts.duplicates += Math.max(0, count - way.stored);
    tally.ends(batch.lane, batch.items.at(-1)?.ms);
  }

  gap(what: string, count = 1, org?: string): void {
    const { tally, logger, dialect } = this.parts;
    if (org !== undefined) this.torn.add(org);
    tally.counts.gaps += count;
    logger.error({ profile: dialect.profile.name, count }, `the bridge has a gap: ${what}`);
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
    let bad = 0;
    for (const item of items) {
      const { org, event, why } = eventOf(this.parts.dialect, item, batchOrg);
      if (why !== undefined) {
        bad += 1;
        if (bad <= maxLoggedPerBatch) this.tellBad(item, why);
      }
      if (org === undefined) continue;
      const events = byOrg.get(org) ?? [];
      byOrg.set(org, events);
      if (this.torn.delete(org)) events.push(holeAt(`${org} before ${item.at}`));
      events.push(event);
    }
    this.parts.tally.counts.badItems += bad;
    return byOrg;
  }

  private tellBad({ at }: SourceItem, why: string): void {
    const { logger, dialect } = this.parts;
    logger.warn({ profile: dialect.profile.name, at, why }, 'an item of the source is left out');
  }

  private async store(lane: string, org: string, events: readonly PreparedEvent[], way: Way): Promise<void> {
    const key = tailKey(lane, org);
    let tail = this.tails.get(key);
    if (tail === undefined) {
      tail = await this.untilDone(() => idsAtTail(this.parts.log, org, this.service), way);
      this.tails.set(key, tail);
    }
    const known = tail;
    const news = events.filter(({ id }) => !known.has(id));
    for (const chunk of chunksOf(news)) await this.append(lane, org, chunk, way);
    // Past the first new one nothing of the lane can stand in the log already.
    const last = events.at(-1);
    if (known.size > 0 && last !== undefined && !known.has(last.id)) this.tails.set(key, new Set());
  }

  private append(lane: string, org: string, events: readonly PreparedEvent[], way: Way): Promise<void> {
    const { log, tally, checkpoints } = this.parts;
    return this.untilDone(async () => {
      // A log that lost its end would take these without those before them, and be out of order for ever.
      const stands = await checkpoints.read(lane);
      // A try to keep its place may have done so, though its answer was lost.
      const isKept = stands !== undefined && stands === way.position;
      if (!isKept && stands !== this.positions.get(lane)) this.rewound();
      // The answer may have waited in the socket of a process that was paused, while another node went on.
      if (!this.isLed) throw new Error('the lease ran out');
      const { results } = await log
        .append(org, this.publisher, events, this.fence)
        .catch((error: unknown) => this.refused(error));
      const repeated = results.filter(({ duplicate }) => duplicate === true).length;
      const holes = events.filter(({ service }) => service === holeService).length;
      tally.counts.events += Math.max(0, results.length - repeated - holes);
      way.stored += results.length - repeated;
    }, way);
  }

  /** @param store appends what isn't surely in the log any more */
  private async keep(lane: string, position: string, store: () => Promise<void>, way: Way): Promise<void> {
    const { checkpoints, onLost } = this.parts;
    await this.untilDone(async () => {
      await store();
      const outcome = await checkpoints.keep(lane, position, this.positions.get(lane));
      if (outcome === 'kept') return;
      if (outcome === 'rewound') this.rewound();
      onLost();
      throw new Error('another node has the lease');
    }, way);
    this.positions.set(lane, position);
  }

  /** A pause between that look and the sending leaves it to the log to know whose turn it is. */
  private refused(error: unknown): never {
    if (error instanceof Fenced) {
      this.parts.lease.renounce();
      this.parts.onLost();
    }
    throw error;
  }

  private rewound(): never {
    this.parts.onRewound();
    throw new Error('Redis has gone back in time');
  }

  /** Asked last before each append is sent: after a pause of this process another node may have gone on. */
  private get isLed(): boolean {
    const { lease } = this.parts;
    return lease.isValid && lease.turn === this.turn;
  }

  /** Does it again until it is done, each time only while the lease is surely ours. Rejects when the feed ends. */
  private async untilDone<T>(run: () => Promise<T>, way?: Way): Promise<T> {
    const { clock, signal, tally } = this.parts;
    let done: { readonly value: T } | undefined;
    const attempt = async (): Promise<void> => {
      if (way !== undefined && !this.isLed) way.troubles += 1;
      while (!this.isLed && !signal.aborted) await pause(clock, leaseLookMs, signal);
      if (signal.aborted) return;
      done = { value: await run() };
      if (this.isWaiting) tally.lastError = undefined;
      this.isWaiting = false;
    };
    const onFailure = (error: unknown): void => {
      if (way !== undefined) way.troubles += 1;
      this.isWaiting = true;
      tally.lastError = `log: ${faultText(error)}`;
    };
    await retryUntilAborted(attempt, { clock, signal, onFailure });
    if (done === undefined) throw new Error('the bridge has ended');
    return done.value;
  }
}

const tailKey = (lane: string, org: string): string => `${lane}\n${org}`;
