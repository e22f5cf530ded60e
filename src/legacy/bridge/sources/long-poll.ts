/** The old API itself as a source: each reader polls it as a client would, and keeps the cursor that it was given. */
import { createHash } from 'node:crypto';
import { Agent, request } from 'undici';
import type { ProfileSource } from '../../../../schema/profile.ts';
import { type Clock, pause } from '../../../clock.ts';
import { compilePath } from '../../dialect/json-path.ts';
import { cursorWire } from '../../dialect/cursor.ts';
import type { Dialect, LegacyAnswer, LegacyReading } from '../../dialect/dialect.ts';
import { parseExact } from '../../dialect/exact-json.ts';
import { unitMs } from '../../dialect/request-reading.ts';
import { retryUntilAborted } from '../../../async/retry.ts';
import type { Source, SourceFeed, SourceItem } from '../source.ts';

type PollSource = Extract<ProfileSource, { kind: 'long-poll' }>;
type Reader = PollSource['readers'][number];

const maxAnswerBytes = 8 * 1024 * 1024;
const graceMs = 15_000;
// An API that answers "nothing" at once is not asked at once again.
const idleMs = 500;

export class LongPollSource implements Source {
  constructor(
    private readonly source: PollSource,
    private readonly dialect: Dialect,
    private readonly clock: Clock,
  ) {}

  async run(feed: SourceFeed): Promise<void> {
    const { clock } = this;
    const agent = new Agent({
      maxResponseSize: maxAnswerBytes,
      connect: { timeout: 10_000 },
      headersTimeout: this.waitMs + graceMs,
      bodyTimeout: graceMs,
    });
    const { signal } = feed;
    const retrying = { clock, signal, onFailure: (error: unknown): void => feed.failed(error) };
    const reading = this.source.readers.map((reader) =>
      retryUntilAborted((worked) => this.read(reader, agent, feed, worked), retrying),
    );
    try {
      await Promise.all(reading);
    } finally {
      await agent.destroy();
    }
  }

  private get waitMs(): number {
    const { wait } = this.dialect.profile.request;
    return wait === undefined ? 0 : wait.default * unitMs(wait);
  }

  private async read(reader: Reader, agent: Agent, feed: SourceFeed, worked: () => void): Promise<void> {
    const { clock } = this;
    const lane = laneOf(reader);
    let cursor = await feed.position(lane);
    while (!feed.signal.aborted) {
      const askedMs = clock.monotonic();
      const reading = this.reading(await this.ask(reader, cursor, agent, feed.signal));
      // Names no payload.
      if (reading.kind === 'unreadable') throw new Error(`the old API answered: ${reading.why}`);
      const next = reading.cursor ?? cursor;
      const at = (index: number): string => `${lane} after ${cursor ?? 'the beginning'}, item ${index + 1}`;
      const ms = clock.now();
      const events = reading.kind === 'events' ? reading.items : [];
      const items = events.map((item, index): SourceItem => ({ item, at: at(index), ms }));
      if (items.length > 0 || next !== cursor)
        await feed.take({ lane, org: reader.org, items, position: next });
      worked();
      feed.worked();
      // Neither waits for nothing nor goes on: asked again at once it would say the same.
      const isStill = reading.kind === 'idle' || next === cursor;
      cursor = next;
      if (isStill && clock.monotonic() - askedMs < idleMs) await pause(clock, idleMs, feed.signal);
    }
  }

  private async ask(
    reader: Reader,
    cursor: string | undefined,
    dispatcher: Agent,
    signal: AbortSignal,
  ): Promise<LegacyAnswer> {
    const { match, upstream } = this.dialect.profile;
    const { search, headers, body } = this.dialect.query(cursor, this.waitMs);
    const url = new URL(this.source.url ?? `${upstream.replace(/\/$/, '')}${match.path}`);
    for (const [name, value] of new URLSearchParams(search)) url.searchParams.set(name, value);
    // undici follows no redirect unless it is told to: a reader's credentials go nowhere else.
    const answer = await request(url, {
      method: match.method,
      headers: {
        accept: 'application/json',
        ...headers,
        ...reader.headers,
      },
      body: body ?? null,
      dispatcher,
      signal,
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    const plain = Object.entries(answer.headers).map(([name, value]) => [name, String(value)]);
    return { status: answer.statusCode, headers: Object.fromEntries(plain), body: bytes };
  }

  /** By the profile's own templates; where its source names other places, there. */
  private reading(answer: LegacyAnswer): LegacyReading {
    const { items: itemsPath, next, nextHeader } = this.source;
    const { request: asked, response } = this.dialect.profile;
    const reading = this.dialect.read(answer);
    if (answer.status !== response.events.status || answer.body?.length === 0) return reading;
    let json: unknown;
    try {
      json = parseExact(answer.body?.toString() ?? '');
    } catch {
      return { kind: 'unreadable', why: 'the body is not JSON' };
    }
    const items = compilePath(itemsPath)(json);
    if (!Array.isArray(items)) {
      if (reading.kind === 'idle') return reading;
      return { kind: 'unreadable', why: `the body has no list at ${itemsPath}` };
    }
    const told = nextHeader === undefined ? undefined : answer.headers[nextHeader.toLowerCase()];
    const named = next === undefined ? told : compilePath(next)(json);
    const isText = typeof named === 'string' || typeof named === 'number';
    const explicit = isText ? cursorWire(asked.cursor).unwrapped(String(named)) : undefined;
    const cursor = explicit ?? (reading.kind === 'unreadable' ? undefined : reading.cursor);
    return items.length === 0 ? { kind: 'idle', cursor } : { kind: 'events', items, cursor };
  }
}

/** The same reader has the same name after a restart, wherever it stands in the list. Its headers stay untold. */
function laneOf({ org, headers }: Reader): string {
  const hash = createHash('sha256').update(JSON.stringify(headers)).digest('base64url').slice(0, 8);
  return `${org} ${hash}`;
}
