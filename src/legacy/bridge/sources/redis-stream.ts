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
import { streamNames } from './stream-names.ts';
import { isEarlier, msOfStreamId, pairsOf, type StreamEntry, streamsOf } from './stream-reply.ts';

type StreamSource = Extract<ProfileSource, { kind: 'redis-stream' }>;

interface Lane {
  readonly org: string | undefined;
  position: string;
}

const timeoutMs = 5000;
const connectMs = 5000;
const blockMs = 1000;
// While streams are being found: the next read is to have those, too.
const findingMs = 100;
// Between two looks, or as long as the last one took where that is longer.
const lookMs = 3000;
// From so many keys on it is worth saying that nobody would have to look.
const manyKeys = 10_000;
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
  /** Aborted when the attempt is over. */
  readonly over: AbortSignal;
}

export class RedisStreamSource implements Source {
  private readonly lanes = new Map<string, Lane>();
  /** Found, and gone: taken up between two reads, since a lane that is being handed on must not begin anew. */
  private readonly coming = new Map<string, Lane>();
  private going: readonly string[] = [];
  private isLooking = true;
  /** Every stream that there was at the beginning is known. */
  private hasLooked = false;
  private isAdvised = false;

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

  /** Reads and looks, side by side, until the first failure of either. */
  private async attempt(feed: SourceFeed, worked: () => void): Promise<void> {
    const { clock } = this;
    const { signal } = feed;
    let fault: unknown;
    const open = (): RedisConnection =>
      openRedis({ url: this.source.url, clock, timeoutMs, onError: (error) => (fault = error) });
    const [reader, looker] = [open(), open()];
    const over = new AbortController();
    const end = (): void => {
      over.abort();
      reader.close();
      looker.close();
    };
    signal.addEventListener('abort', end);
    try {
      const areReady = Promise.all([reader.ready(connectMs), looker.ready(connectMs)]);
      await Promise.race([areReady, pause(clock, connectMs, signal)]);
      if (signal.aborted) return;
      if (!reader.isReady || !looker.isReady) throw fault ?? new Error('the source does not answer');
      this.lanes.clear();
      this.coming.clear();
      this.going = [];
      this.hasLooked = false;
      const reading = { feed, reader, looker, over: over.signal };
      const failures: unknown[] = [];
      const loops = [this.readAll(reading, worked), this.lookAll(reading)].map((loop) =>
        loop.catch((error: unknown) => {
          failures.push(error);
          end();
        }),
      );
      // Both: what is being handed on must be over before the next attempt reads it again.
      await Promise.all(loops);
      if (failures.length > 0) throw failures[0];
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
  }

  private async readAll(reading: Reading, worked: () => void): Promise<void> {
    while (!reading.over.aborted) {
      await this.readOnce(reading);
      // Before that a stream may be there that nobody reads yet.
      if (!this.hasLooked) continue;
      worked();
      reading.feed.worked();
    }
  }

  private async readOnce({ feed, reader, over }: Reading): Promise<void> {
    for (const name of this.going) this.lanes.delete(name);
    for (const [name, lane] of this.coming) this.lanes.set(name, lane);
    this.going = [];
    this.coming.clear();
    if (this.lanes.size === 0) return pause(this.clock, this.hasLooked ? blockMs / 2 : findingMs / 5, over);
    const names = [...this.lanes.keys()];
    const positions = [...this.lanes.values()].map(({ position }) => position);
    const count = Math.max(1, Math.min(batchItems, Math.floor(readItems / names.length)));
    const block = this.isLooking ? findingMs : blockMs;
    const args = ['COUNT', count, 'BLOCK', block, 'STREAMS', ...names, ...positions];
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

  /** Looks for streams again and again; the reads go on meanwhile. */
  private async lookAll(reading: Reading): Promise<void> {
    const { clock } = this;
    while (!reading.over.aborted) {
      const beganMs = clock.monotonic();
      this.isLooking = true;
      await this.look(reading);
      this.isLooking = false;
      this.hasLooked = true;
      await pause(clock, Math.max(lookMs, clock.monotonic() - beganMs), reading.over);
    }
  }

  /** Finds the streams that there are now, and where each goes on. */
  private async look(reading: Reading): Promise<void> {
    const { key, orgs } = this.source;
    const pattern = orgPattern(key);
    const found = new Set<string>();
    const take = async (page: ReadonlyMap<string, string | undefined>): Promise<void> => {
      for (const name of page.keys()) found.add(name);
      await this.beginAll(reading, page);
    };
    if (!pattern.hasOrg) await take(new Map([[key, orgs?.[0]]]));
    else if (orgs !== undefined) await take(new Map(orgs.map((org) => [pattern.nameOf(org), org])));
    else
      for await (const { names, keys } of streamNames(
        reading.looker.commands,
        pattern.glob,
        this.clock,
        reading.over,
      )) {
        const named = names.map((name) => [name, pattern.orgOf(name)] as const);
        const isRoomFor = (name: string): boolean => found.has(name) || found.size < maxLanes;
        await take(new Map(named.filter(([name, org]) => org !== undefined && isRoomFor(name))));
        if (keys >= manyKeys) this.advise(reading.feed);
        if (found.size >= maxLanes) break;
      }
    if (reading.over.aborted) return;
    this.going = [...this.lanes.keys()].filter((name) => !found.has(name));
  }

  private advise(feed: SourceFeed): void {
    if (this.isAdvised) return;
    this.isAdvised = true;
    feed.advise(
      `its Redis has over ${manyKeys} keys, and all are looked through again and again to find the streams: list source.orgs where they are known`,
    );
  }

  private async beginAll(reading: Reading, page: ReadonlyMap<string, string | undefined>): Promise<void> {
    const unknown = [...page].filter(([name]) => !this.lanes.has(name) && !this.coming.has(name));
    // After one that failed no other begins: the next attempt has its own.
    const limit = pLimit({ concurrency: beginsAtOnce, rejectOnClear: true });
    const begun = limit.map(unknown, async ([name, org]) => {
      this.coming.set(name, { org, position: await this.begin(reading, name, org) });
    });
    begun.catch(() => limit.clearQueue());
    await begun;
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
