/**
 * A client of a fleet whose log fails: it reads by poll or by stream, resumes by cursor on either node, and writes down what
 * it was given, in one segment for each stretch without a `reset`. Whatever the protocol does not allow is a fault.
 */
import type { Envelope } from '../../schema/envelope.ts';
import type { PollBody } from '../../schema/http.ts';
import type { Answer } from './http-client.ts';
import { PollClient, poll } from './poll-client.ts';
import type { Random } from './random.ts';
import { StreamClient } from './stream-client.ts';
import { makeToken } from './token-maker.ts';
import { sleep } from './until.ts';

export interface Given {
  readonly seq: number;
  readonly id: string;
  /** The log's time of append: what was lost and is sent again under its id may be given its old seq. */
  readonly timestamp: string;
}

/** What came between two resets. */
export interface Segment {
  readonly epoch: string;
  /** The place it began behind. */
  readonly after: number;
  readonly given: Given[];
  /** What ended it: said when the log stood at `headSeq` of `epoch`. */
  reset?: { readonly reason: string; readonly headSeq: number; readonly epoch: string };
}

export interface OutageReaderOptions {
  readonly urls: readonly string[];
  readonly org: string;
  readonly user: string;
  readonly services: readonly string[];
  readonly random: Random;
  readonly transport: 'poll' | 'stream';
  /** Changes its node and its transport now and then; else it stays, and its stream must too. */
  readonly isRoaming: boolean;
}

const waitS = 1;
// An empty answer that came sooner than this was not held.
const heldMs = waitS * 800;

export class OutageReader {
  readonly user: string;
  readonly segments: Segment[] = [];
  readonly faults: string[] = [];
  repeats = 0;
  /** New streams that were told that the log is away. */
  refusals = 0;
  private readonly options: OutageReaderOptions;
  private transport: 'poll' | 'stream';
  private node: number;
  private token = '';
  private cursor = '';
  private isOver = false;
  private readonly ending = new AbortController();

  constructor(options: OutageReaderOptions) {
    this.options = options;
    this.user = options.user;
    this.transport = options.transport;
    this.node = options.random.int(0, options.urls.length - 1);
  }

  /** Takes its place: what is published from now on is its. */
  async start(): Promise<void> {
    const { org, services } = this.options;
    this.token = await makeToken({ org, sub: this.user });
    const client = new PollClient(this.url, this.token, services);
    const { seq, epoch, cursor } = await client.ask({ wait: 0 });
    client.close();
    this.segments.push({ epoch, after: seq, given: [] });
    this.cursor = cursor;
  }

  async read(): Promise<void> {
    while (!this.isOver) {
      const stayMs = this.options.isRoaming ? this.options.random.int(300, 2500) : Number.POSITIVE_INFINITY;
      const endMs = performance.now() + stayMs;
      const isOver = (): boolean => this.isOver || performance.now() > endMs;
      if (this.transport === 'poll') await this.pollUntil(isOver);
      else await this.streamUntil(isOver);
      this.node = (this.node + 1) % this.options.urls.length;
      this.transport = this.options.random.pick(['poll', 'stream']);
    }
  }

  /** It has what it was waited for: nothing that a poll is still held for is its any more. */
  stop(): void {
    this.isOver = true;
    this.ending.abort();
  }

  get epoch(): string {
    return this.segment.epoch;
  }

  /** The seq up to which it has everything. */
  get seq(): number {
    return this.segment.given.at(-1)?.seq ?? this.segment.after;
  }

  get resets(): number {
    return this.segments.length - 1;
  }

  private get url(): string {
    return this.options.urls[this.node] ?? '';
  }

  private get segment(): Segment {
    const segment = this.segments.at(-1);
    if (segment === undefined) throw new Error(`${this.user} has not started`);
    return segment;
  }

  private async pollUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const askedMs = performance.now();
      const answer = await this.ask();
      if (answer === undefined) return;
      const { status, text, body } = answer;
      if (status !== 200) this.faults.push(`a poll with a cursor was answered ${status} ${text}`);
      else this.takeAnswer(body, performance.now() - askedMs);
      await sleep(this.options.random.int(20, 150));
    }
  }

  /** Undefined: it was told to stop while it waited. */
  private async ask(): Promise<Answer<PollBody> | undefined> {
    const asked = { services: this.options.services.join(','), cursor: this.cursor, wait: waitS };
    try {
      return await poll(this.url, this.token, asked, { signal: this.ending.signal });
    } catch (error) {
      if (this.isOver) return undefined;
      throw error;
    }
  }

  private takeAnswer(body: PollBody, tookMs: number): void {
    if (body.reset !== undefined) {
      this.restart(body.reset.reason, body.seq, body.epoch);
    } else {
      this.take(body.events);
      if (body.events.length === 0 && body.more !== true && tookMs < heldMs)
        this.faults.push(`a poll without events was held for ${Math.round(tookMs)} ms`);
      this.mustStandAt(body.seq, 'a poll');
    }
    this.cursor = body.cursor;
  }

  private async streamUntil(isOver: () => boolean): Promise<void> {
    const stream = new StreamClient(this.url, {
      token: this.token,
      first: { services: this.options.services, version: 1, cursor: this.cursor },
    });
    let isPlaced = false;
    let isLeft = false;
    stream.onFrame = (frame) => {
      if (isLeft) return;
      switch (frame.type) {
        case 'ack':
          isPlaced = true;
          // Elsewhere than it stands: the reset that follows says why.
          if (frame.seq === this.seq && frame.epoch === this.epoch) this.cursor = frame.cursor;
          return;
        case 'event':
          this.take(frame.events);
          this.mustStandAt(frame.seq, 'an event frame');
          this.cursor = frame.cursor;
          return;
        case 'ping':
          this.mustStandAt(frame.seq, 'a ping');
          this.cursor = frame.cursor;
          return;
        case 'reset':
          this.restart(frame.reason, frame.seq, frame.epoch);
          this.cursor = frame.cursor;
          return;
        case 'ephemeral':
        case 'error':
        case 'migrate':
        case 'published':
        case 'reconnect':
          this.faults.push(`a stream sent ${JSON.stringify(frame)}`);
      }
    };
    while (!isOver() && stream.closed === undefined) await sleep(20);
    isLeft = true;
    if (stream.closed === undefined) {
      stream.destroy();
      return;
    }
    const { code, reason } = stream.closed;
    if (isPlaced || code !== 1013 || reason !== 'log_unavailable')
      this.faults.push(`${isPlaced ? 'an open' : 'a new'} stream was closed with ${code} ${reason}`);
    this.refusals += 1;
    await sleep(this.options.random.int(50, 200));
  }

  private take(events: readonly Envelope[]): void {
    for (const { seq = 0, id, timestamp } of events) {
      const at = this.seq;
      if (seq <= at) {
        this.repeats += 1;
        this.faults.push(`${seq} came again at ${at}`);
        continue;
      }
      // It reads every service of the org, so its seqs have no holes.
      if (seq !== at + 1) this.faults.push(`${seq} came after ${at}`);
      this.segment.given.push({ seq, id, timestamp });
    }
  }

  private mustStandAt(seq: number, what: string): void {
    if (seq !== this.seq) this.faults.push(`${what} names ${seq} where ${this.seq} was given`);
  }

  private restart(reason: string, headSeq: number, epoch: string): void {
    this.segment.reset = { reason, headSeq, epoch };
    this.segments.push({ epoch, after: headSeq, given: [] });
  }
}
