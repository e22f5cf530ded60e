/**
 * Bridges: what an old API's own source brings, into the log, without a change of its backend. Of each profile one node
 * bridges at a time; the others stand by and take over within seconds.
 */
import type { BridgeHealth } from '../../../schema/http.ts';
import { setMaxListeners } from 'node:events';
import type { Profile, ProfileSource } from '../../../schema/profile.ts';
import type { Cancel, Clock } from '../../clock.ts';
import type { RedisConnection } from '../../redis/connections.ts';
import { BridgeFeed, type BridgeFeedParts } from './feed.ts';
import { type BridgeCounts, BridgeTally, faultText } from './health.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { bridgeKeys, type Lease, LocalLease, RedisLease, renewMs } from './lease.ts';
import { createDialect } from '../dialect/profile-dialect.ts';
import type { Source } from './source.ts';
import { LongPollSource } from './sources/long-poll.ts';
import { RedisPubsubSource } from './sources/redis-pubsub.ts';
import { RedisStreamSource } from './sources/redis-stream.ts';

export interface BridgesOptions extends Pick<BridgeFeedParts, 'log' | 'clock' | 'logger'> {
  /** Those without a source have nothing to bridge. */
  readonly profiles: readonly Profile[];
  /** Turnout's own; undefined: the log is this process's, and so is the bridge. */
  readonly redis: Pick<RedisConnection, 'commands'> | undefined;
  readonly prefix: string;
  readonly nodeId: string;
  /** False: this node leaves bridging to others. */
  readonly isOn: boolean;
}

export interface BridgeReport extends BridgeHealth {
  readonly counts: BridgeCounts;
}

export interface Bridges {
  report(): readonly BridgeReport[];
  /** Some node reads that profile's source, or it has none. */
  isFed(profile: string): boolean;
  /** What was read is stored or left to the next node; the leases are free. */
  close(): Promise<void>;
}

export function openBridges(options: BridgesOptions): Bridges {
  const bridges = options.profiles.flatMap((profile) =>
    profile.source === undefined ? [] : [new Bridge(profile, profile.source, options)],
  );
  return {
    report: () => bridges.map((bridge) => bridge.report()),
    isFed: (profile) => bridges.every(({ name, isFed }) => name !== profile || isFed),
    async close() {
      await Promise.all(bridges.map((bridge) => bridge.close()));
    },
  };
}

const leaseFault = 'lease: ';

interface Leading {
  readonly end: AbortController;
  readonly feed: BridgeFeed;
  readonly over: Promise<void>;
}

class Bridge {
  readonly name: string;
  private readonly kind: ProfileSource['kind'];
  private readonly dialect: Dialect;
  private readonly lease: Lease;
  private readonly source: Source;
  private readonly tally: BridgeTally;
  private leading: Leading | undefined;
  private asking: Promise<void> | undefined;
  private isClosed = false;
  private readonly stopAsking: Cancel;

  constructor(
    profile: Profile,
    source: ProfileSource,
    private readonly options: BridgesOptions,
  ) {
    const { redis, prefix, nodeId, clock } = options;
    this.name = profile.name;
    this.kind = source.kind;
    this.dialect = createDialect(profile);
    this.tally = new BridgeTally(clock);
    this.source = sourceOf(source, this.dialect, clock);
    this.lease =
      redis === undefined
        ? new LocalLease(nodeId)
        : new RedisLease({ redis: redis.commands, keys: bridgeKeys(prefix, profile.name), clock, nodeId });
    this.stopAsking = clock.every(renewMs, () => this.ask());
    this.ask();
  }

  get isFed(): boolean {
    return this.lease.isFed;
  }

  report(): BridgeReport {
    const { lease, tally, leading } = this;
    const isLeading = leading !== undefined;
    const isWaiting = isLeading && (leading.feed.isWaiting || !lease.isValid);
    const state = !this.options.isOn ? 'off' : isWaiting ? 'waiting' : isLeading ? 'leading' : 'standby';
    return {
      profile: this.name,
      kind: this.kind,
      state,
      leader: lease.holder ?? null,
      isFed: this.isFed,
      lagSeconds: isLeading ? tally.lagSeconds : 0,
      lastError: tally.lastError ?? null,
      counts: { ...tally.counts },
    };
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.stopAsking();
    await this.asking;
    await this.endLeading();
    if (this.options.isOn) await this.lease.release();
  }

  private ask(): void {
    // One command at a time: an answer that comes late must not undo a later one.
    if (this.isClosed) return;
    this.asking ??= this.decide().finally(() => (this.asking = undefined));
  }

  private async decide(): Promise<void> {
    const { lease, tally, options } = this;
    try {
      if (!options.isOn) return await lease.look();
      const outcome = await lease.take(this.leading?.feed.isWell ?? false);
      if (tally.lastError?.startsWith(leaseFault) === true) tally.lastError = undefined;
      // Another node bridged in between: what was read here is its own by now.
      if (outcome !== 'kept') await this.endLeading();
      if (outcome !== 'held') this.lead();
    } catch (error) {
      // The lease runs out by itself, and nothing is appended without it.
      if (this.leading !== undefined) tally.lastError = `${leaseFault}${faultText(error)}`;
    }
  }

  private lead(): void {
    if (this.leading !== undefined || this.isClosed) return;
    const { log, clock, logger } = this.options;
    const { dialect, lease, tally, name } = this;
    const end = new AbortController();
    const { signal } = end;
    // A thousand readers wait for the end of it.
    setMaxListeners(0, signal);
    const onOver = (isRewound: boolean): void => {
      if (isRewound)
        logger.warn({ profile: name }, 'Redis has lost what the bridge had kept: it is read again');
      lease.renounce();
      end.abort();
      this.ask();
    };
    const feed = new BridgeFeed({ dialect, log, lease, clock, logger, tally, signal, onOver });
    tally.lastError = undefined;
    logger.info({ profile: name, kind: this.kind }, 'this node bridges');
    this.leading = { end, feed, over: this.source.run(feed) };
  }

  private async endLeading(): Promise<void> {
    const { leading } = this;
    if (leading === undefined) return;
    this.leading = undefined;
    leading.end.abort();
    await leading.over;
    this.tally.lastError = undefined;
    this.tally.leaves();
    this.options.logger.info({ profile: this.name }, 'this node bridges no longer');
  }
}

/** What reads a profile's source. */
export function sourceOf(source: ProfileSource, dialect: Dialect, clock: Clock): Source {
  switch (source.kind) {
    case 'redis-stream':
      return new RedisStreamSource(source, clock);
    case 'redis-pubsub':
      return new RedisPubsubSource(source, clock);
    case 'long-poll':
      return new LongPollSource(source, dialect, clock);
  }
}
