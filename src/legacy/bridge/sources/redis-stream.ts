/**
 * Redis streams as a source: each key is a lane, read by XREAD after the id that was kept last. Reads only; no consumer
 * group is made, so nothing of the stream's owner changes.
 */
import type { ProfileSource } from '../../../../schema/profile.ts';
import { type Clock, pause } from '../../../clock.ts';
import { openRedis, type RedisConnection } from '../../../redis/connections.ts';
import type { StreamItem } from '../../dialect/dialect.ts';
import { retryUntilAborted } from '../../../async/retry.ts';
import type { Source, SourceFeed, SourceItem } from '../source.ts';
import { orgPattern } from './org-pattern.ts';
import { isEarlier, msOfStreamId, pairsOf, streamsOf } from './stream-reply.ts';

type StreamSource = Extract<ProfileSource, { kind: 'redis-stream' }>;

interface Lane {
  readonly org: string | undefined;
  position: string;
}

const timeoutMs = 5000;
const connectMs = 5000;
const blockMs = 1000;
const lookMs = 3000;
const maxLanes = 10_000;
const beginsAtOnce = 100;
const batchItems = 100;
// Of all keys together; where there are thousands each gives less at a time.
const readItems = 5000;
const beginning = '0-0';

export class RedisStreamSource implements Source {
  private readonly source: StreamSource;
  private readonly clock: Clock;

  constructor(source: StreamSource, clock: Clock) {
    this.source = source;
    this.clock = clock;
  }

  run(feed: SourceFeed): Promise<void> {
    const { clock } = this;
    const attempt = (worked: () => void): Promise<void> =>
      this.connected(feed, (reader, looker) =>
        new StreamReading(this.source, clock, feed, reader, looker).go(worked),
      );
    return retryUntilAborted(attempt, {
      clock,
      signal: feed.signal,
      onFailure: (error) => feed.failed(error),
    });
  }

  private async connected(
    feed: SourceFeed,
    go: (reader: RedisConnection, looker: RedisConnection) => Promise<void>,
  ): Promise<void> {
    let fault: unknown;
    const open = (): RedisConnection =>
      openRedis({ url: this.source.url, clock: this.clock, timeoutMs, onError: (error) => (fault = error) });
    // XREAD holds its connection while it waits.
    const connections = [open(), open()] as const;
    const close = (): void => connections.forEach((one) => one.close());
    feed.signal.addEventListener('abort', close);
    try {
      const areReady = Promise.all(connections.map((one) => one.ready(connectMs)));
      await Promise.race([areReady, pause(this.clock, connectMs, feed.signal)]);
      if (feed.signal.aborted) return;
      if (!connections.every((one) => one.isReady)) throw fault ?? new Error('the source does not answer');
      await go(...connections);
    } finally {
      feed.signal.removeEventListener('abort', close);
      close();
    }
  }
}

/** One connection's worth of reading: ends with the first failure. */
class StreamReading {
  private lanes = new Map<string, Lane>();
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private readonly source: StreamSource;
  private readonly clock: Clock;
  private readonly feed: SourceFeed;
  private readonly reader: RedisConnection;
  private readonly looker: RedisConnection;

  constructor(
    source: StreamSource,
    clock: Clock,
    feed: SourceFeed,
    reader: RedisConnection,
    looker: RedisConnection,
  ) {
    this.source = source;
    this.clock = clock;
    this.feed = feed;
    this.reader = reader;
    this.looker = looker;
  }

  async go(worked: () => void): Promise<void> {
    const { feed, clock } = this;
    while (!feed.signal.aborted) {
      if (clock.monotonic() - this.lookedAtMs >= lookMs) await this.look();
      if (this.lanes.size === 0) await pause(clock, blockMs / 2, feed.signal);
      else await this.read();
      worked();
      feed.worked();
    }
  }

  private async read(): Promise<void> {
    const names = [...this.lanes.keys()];
    const positions = [...this.lanes.values()].map(({ position }) => position);
    const count = Math.max(1, Math.min(batchItems, Math.floor(readItems / names.length)));
    const args = ['COUNT', count, 'BLOCK', blockMs, 'STREAMS', ...names, ...positions];
    const reply = await this.reader.commands.call('XREAD', args);
    await Promise.all(streamsOf(reply).map(([name, entries]) => this.handOn(name, entries)));
  }

  private async handOn(
    name: string,
    entries: readonly (readonly [id: string, fields: readonly string[]])[],
  ): Promise<void> {
    const lane = this.lanes.get(name);
    const position = entries.at(-1)?.[0];
    if (lane === undefined || position === undefined) return;
    const items = entries.map(([id, fields]): SourceItem => {
      const item: StreamItem = { id, fields: Object.fromEntries(pairsOf(fields)) };
      return { item, at: `${name} ${id}`, ms: msOfStreamId(id) };
    });
    await this.feed.take({ lane: name, org: lane.org, items, position });
    lane.position = position;
  }

  /** Finds the streams that there are now, and where each goes on. */
  private async look(): Promise<void> {
    const { key, orgs } = this.source;
    const pattern = orgPattern(key);
    const found = new Map<string, string | undefined>();
    if (!pattern.hasOrg) found.set(key, orgs?.[0]);
    else if (orgs !== undefined) for (const org of orgs) found.set(pattern.nameOf(org), org);
    else
      for (const name of await this.scan(pattern.glob)) {
        const org = pattern.orgOf(name);
        if (org !== undefined) found.set(name, org);
      }
    const lanes = new Map<string, Lane>();
    const names = [...found];
    for (let at = 0; at < names.length; at += beginsAtOnce) {
      const some = names.slice(at, at + beginsAtOnce);
      const begun = some.map(async ([name, org]): Promise<[string, Lane]> => {
        const lane = this.lanes.get(name) ?? { org, position: await this.begin(name, org) };
        return [name, lane];
      });
      for (const [name, lane] of await Promise.all(begun)) lanes.set(name, lane);
    }
    this.lanes = lanes;
    this.lookedAtMs = this.clock.monotonic();
  }

  private async scan(glob: string): Promise<string[]> {
    const names = new Set<string>();
    let cursor = '0';
    do {
      const args = [cursor, 'MATCH', glob, 'COUNT', 1000, 'TYPE', 'stream'];
      // The shape is Redis's: a cursor and names.
      const reply = (await this.looker.commands.call('SCAN', args)) as [string, string[]];
      cursor = reply[0];
      for (const name of reply[1]) if (names.size < maxLanes) names.add(name);
    } while (cursor !== '0' && names.size < maxLanes && !this.feed.signal.aborted);
    return [...names].toSorted();
  }

  /** What was kept, if the stream still goes on from there. */
  private async begin(name: string, org: string | undefined): Promise<string> {
    const position = await this.feed.position(name);
    if (position === undefined) return beginning;
    const { commands } = this.looker;
    const [first] = (await commands.call('XRANGE', [name, '-', '+', 'COUNT', 1])) as [string, unknown][];
    // Empty or gone: it may come back, after this place or at another beginning.
    if (first === undefined) return position;
    const about = new Map(pairsOf((await commands.call('XINFO', ['STREAM', name])) as string[]));
    if (isEarlier(String(about.get('last-generated-id')), position)) {
      this.feed.gap(`${name} was made anew: it is read from its beginning`, 1, org);
      return beginning;
    }
    // A place whose own entry stands has lost nothing behind it.
    const own = (await commands.call('XRANGE', [name, position, position])) as unknown[];
    if (own.length === 0 && isEarlier(position, first[0]))
      this.feed.gap(`${name} was trimmed past the place where reading goes on`, 1, org);
    return position;
  }
}
