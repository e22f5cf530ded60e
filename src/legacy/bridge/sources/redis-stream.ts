/**
 * Redis streams as a source: each key is a lane, read by XREAD after the id that was kept last. Reads only; no consumer
 * group is made, so nothing of the stream's owner changes.
 */
import pLimit from 'p-limit';
import type { ProfileSource } from '../../../../schema/profile.ts';
import { type Clock, pause } from '../../../clock.ts';
import { openRedis, type RedisConnection } from '../../../redis/connections.ts';
import type { StreamItem } from '../../dialect/dialect.ts';
import { retryUntilAborted } from '../../../async/retry.ts';
import type { Source, SourceFeed, SourceItem } from '../source.ts';
import { orgPattern } from './org-pattern.ts';
import { isEarlier, msOfStreamId, pairsOf, type StreamEntry, streamsOf } from './stream-reply.ts';

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

/** What one attempt reads with: XREAD holds its connection while it waits, so that the rest has another. */
interface Reading {
  readonly feed: SourceFeed;
  readonly reader: RedisConnection;
  readonly looker: RedisConnection;
}

export class RedisStreamSource implements Source {
  private lanes = new Map<string, Lane>();
  private lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly source: StreamSource,
    private readonly clock: Clock,
  ) {}

  run(feed: SourceFeed): Promise<void> {
    const { clock } = this;
    return retryUntilAborted((worked) => this.attempt(feed, worked), {
      clock,
      signal: feed.signal,
      onFailure: (error) => feed.failed(error),
    });
  }

  /** Reads until the first failure. */
  private async attempt(feed: SourceFeed, worked: () => void): Promise<void> {
    const { clock } = this;
    const { signal } = feed;
    let fault: unknown;
    const open = (): RedisConnection =>
      openRedis({ url: this.source.url, clock, timeoutMs, onError: (error) => (fault = error) });
    const [reader, looker] = [open(), open()];
    const close = (): void => {
      reader.close();
      looker.close();
    };
    signal.addEventListener('abort', close);
    try {
      const areReady = Promise.all([reader.ready(connectMs), looker.ready(connectMs)]);
      await Promise.race([areReady, pause(clock, connectMs, signal)]);
      if (signal.aborted) return;
      if (!reader.isReady || !looker.isReady) throw fault ?? new Error('the source does not answer');
      this.lanes.clear();
      this.lookedAtMs = Number.NEGATIVE_INFINITY;
      while (!signal.aborted) {
        await this.readOnce({ feed, reader, looker });
        worked();
        feed.worked();
      }
    } finally {
      signal.removeEventListener('abort', close);
      close();
    }
  }

  private async readOnce(reading: Reading): Promise<void> {
    const { clock } = this;
    const { feed, reader } = reading;
    if (clock.monotonic() - this.lookedAtMs >= lookMs) await this.look(reading);
    if (this.lanes.size === 0) return pause(clock, blockMs / 2, feed.signal);
    const names = [...this.lanes.keys()];
    const positions = [...this.lanes.values()].map(({ position }) => position);
    const count = Math.max(1, Math.min(batchItems, Math.floor(readItems / names.length)));
    const args = ['COUNT', count, 'BLOCK', blockMs, 'STREAMS', ...names, ...positions];
    const reply = await reader.commands.call('XREAD', args);
    await Promise.all(streamsOf(reply).map(([name, entries]) => this.handOn(feed, name, entries)));
  }

  private async handOn(feed: SourceFeed, name: string, entries: readonly StreamEntry[]): Promise<void> {
    const lane = this.lanes.get(name);
    const position = entries.at(-1)?.[0];
    if (lane === undefined || position === undefined) return;
    const items = entries.map(([id, fields]): SourceItem => {
      const item: StreamItem = { id, fields: Object.fromEntries(pairsOf(fields)) };
      return { item, at: `${name} ${id}`, ms: msOfStreamId(id) };
    });
    await feed.take({ lane: name, org: lane.org, items, position });
    lane.position = position;
  }

  /** Finds the streams that there are now, and where each goes on. */
  private async look(reading: Reading): Promise<void> {
    const { key, orgs } = this.source;
    const pattern = orgPattern(key);
    const found = new Map<string, string | undefined>();
    if (!pattern.hasOrg) found.set(key, orgs?.[0]);
    else if (orgs !== undefined) for (const org of orgs) found.set(pattern.nameOf(org), org);
    else
      for (const name of await this.scan(reading, pattern.glob)) {
        const org = pattern.orgOf(name);
        if (org !== undefined) found.set(name, org);
      }
    // After one that failed no other begins: the next attempt has its own.
    const limit = pLimit({ concurrency: beginsAtOnce, rejectOnClear: true });
    const begun = limit.map(found, async ([name, org]): Promise<[string, Lane]> => {
      const lane = this.lanes.get(name) ?? { org, position: await this.begin(reading, name, org) };
      return [name, lane];
    });
    begun.catch(() => limit.clearQueue());
    const lanes = await begun;
    this.lanes = new Map(lanes);
    this.lookedAtMs = this.clock.monotonic();
  }

  private async scan({ feed, looker }: Reading, glob: string): Promise<string[]> {
    const names = new Set<string>();
    let cursor = '0';
    do {
      const args = [cursor, 'MATCH', glob, 'COUNT', 1000, 'TYPE', 'stream'];
      // The shape is Redis's: a cursor and names.
      const reply = (await looker.commands.call('SCAN', args)) as [string, string[]];
      cursor = reply[0];
      for (const name of reply[1]) if (names.size < maxLanes) names.add(name);
    } while (cursor !== '0' && names.size < maxLanes && !feed.signal.aborted);
    return [...names].toSorted();
  }

  /** What was kept, if the stream still goes on from there. */
  private async begin({ feed, looker }: Reading, name: string, org: string | undefined): Promise<string> {
    const position = await feed.position(name);
    if (position === undefined) return beginning;
    const { commands } = looker;
    const [first] = (await commands.call('XRANGE', [name, '-', '+', 'COUNT', 1])) as [string, unknown][];
    // Empty or gone: it may come back, after this place or at another beginning.
    if (first === undefined) return position;
    const about = new Map(pairsOf((await commands.call('XINFO', ['STREAM', name])) as string[]));
    if (isEarlier(String(about.get('last-generated-id')), position)) {
      feed.gap(`${name} was made anew: it is read from its beginning`, 1, org);
      return beginning;
    }
    // A place whose own entry stands has lost nothing behind it.
    const own = (await commands.call('XRANGE', [name, position, position])) as unknown[];
    if (own.length === 0 && isEarlier(position, first[0]))
      feed.gap(`${name} was trimmed past the place where reading goes on`, 1, org);
    return position;
  }
}
