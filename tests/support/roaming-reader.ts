/**
 * A client that roams: poll → stream → poll with one cursor, at random moments, make before break or break before make,
 * with sockets destroyed and answers lost on the way. It follows protocol 9 and tells every departure from it.
 */
import type { Envelope } from '../../schema/envelope.ts';
import type { PollBody } from '../../schema/http.ts';
import { PollClient } from './poll-client.ts';
import type { Random } from './random.ts';
import { StreamClient } from './stream-client.ts';
import { sleep, until } from './until.ts';

export interface RoamingCounts {
  polls: number;
  streams: number;
  switches: number;
  lostAnswers: number;
  cuts: number;
  overlaps: number;
  /** Dropped while two transports were open, as protocol 9 permits. */
  repeats: number;
}

/** One transport opened at one cursor: what it sends must lie after that cursor, and rise. */
interface Leg {
  last: number;
  /** While another transport is or was open beside it, it may bring what that one brought. */
  repeatsUpTo: number;
}

export class RoamingReader {
  readonly user: string;
  readonly services: readonly string[];
  /** What it handed to the application. */
  readonly received: number[] = [];
  readonly faults: string[] = [];
  readonly counts: RoamingCounts;
  private readonly url: string;
  private readonly token: string;
  private readonly random: Random;
  private readonly poller: PollClient;
  private cursor = '';
  private seq = 0;
  private stream: StreamClient | undefined;

  constructor(
    url: string,
    user: string,
    token: string,
    services: readonly string[],
    random: Random,
    counts: RoamingCounts,
  ) {
    this.url = url;
    this.user = user;
    this.token = token;
    this.services = services;
    this.random = random;
    this.counts = counts;
    this.poller = new PollClient(url, token, services);
  }

  /** Takes its place in the log: what is published from now on is its. */
  async start(): Promise<void> {
    const body = await this.poller.ask({ wait: 20 });
    if (body.events.length > 0) this.faults.push('a poll without a cursor brought events');
    this.moveTo(body.cursor, body.seq);
  }

  /** Roams until `isOver`, then reads what is left by poll. */
  async roam(isOver: () => boolean): Promise<void> {
    await sleep(this.random.int(0, 500));
    while (!isOver()) {
      await this.pollFor(this.random.int(100, 900), isOver);
      this.counts.switches += 1;
      await this.moveToStream();
      await this.streamFor(this.random.int(100, 1500), isOver);
      this.counts.switches += 1;
      await this.moveToPoll();
    }
    await this.finish();
  }

  private async finish(): Promise<void> {
    for (;;) {
      const body = await this.askAtCursor(0);
      if (body === undefined || (body.events.length === 0 && body.more !== true)) break;
    }
    this.poller.close();
  }

  private async pollFor(ms: number, isOver: () => boolean): Promise<void> {
    const end = Date.now() + ms;
    while (Date.now() < end && !isOver()) {
      if (this.random.chance(0.08)) await this.loseAnAnswer();
      await this.askAtCursor(1);
      await sleep(this.random.int(20, 250));
    }
  }

  private async askAtCursor(waitS: number, repeatsUpTo = this.seq): Promise<PollBody | undefined> {
    this.counts.polls += 1;
    const leg = { ...this.newLeg(), repeatsUpTo };
    this.poller.cursor = this.cursor;
    const body = await this.poller.ask({ wait: waitS, limit: this.random.pick([7, 100, 1000]) });
    if (body.reset !== undefined) {
      this.faults.push(`a poll was answered reset ${body.reset.reason}`);
      return undefined;
    }
    this.take(leg, body.events);
    this.moveTo(body.cursor, body.seq);
    return body;
  }

  /** The answer never arrives, or arrives and is lost: the next poll asks with the same cursor. */
  private async loseAnAnswer(): Promise<void> {
    this.counts.lostAnswers += 1;
    this.poller.cursor = this.cursor;
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), this.random.int(0, 20));
    await this.poller.ask({ wait: 1 }, cut.signal).catch(() => undefined);
    clearTimeout(timer);
  }

  private async moveToStream(): Promise<void> {
    if (!this.random.chance(0.5)) return this.openStream(this.newLeg());
    // Make before break: a poll at the same cursor is in flight while the stream opens.
    this.counts.overlaps += 1;
    const leg = this.newLeg();
    leg.repeatsUpTo = Number.POSITIVE_INFINITY;
    const polled = this.askAtCursor(1, Number.POSITIVE_INFINITY);
    await Promise.all([this.openStream(leg), polled]);
    leg.repeatsUpTo = this.seq;
    return undefined;
  }

  private async openStream(leg: Leg): Promise<void> {
    this.counts.streams += 1;
    const stream = new StreamClient(this.url, {
      token: this.token,
      first: { services: this.services, version: 1, cursor: this.cursor },
      compress: this.random.chance(0.2),
    });
    this.stream = stream;
    stream.onFrame = (frame) => {
      // What a stale socket says is dropped.
      if (this.stream !== stream) return;
      if (frame.type === 'event') this.take(leg, frame.events);
      if (frame.type === 'reset') this.faults.push(`a stream sent reset ${frame.reason}`);
      if (frame.type === 'event' || frame.type === 'ping') this.moveTo(frame.cursor, frame.seq);
    };
    await until(() => stream.frames.length > 0 || stream.closed !== undefined, 'an ack');
    const first = stream.frames[0];
    if (first?.type !== 'ack')
      this.faults.push(`a stream began with ${stream.texts[0] ?? stream.closed?.code}`);
  }

  private async streamFor(ms: number, isOver: () => boolean): Promise<void> {
    const end = Date.now() + ms;
    while (Date.now() < end && !isOver()) {
      await sleep(this.random.int(20, 300));
      const { closed } = this.stream ?? {};
      // A machine that stands still is a peer that shows no life: the cursor makes that safe, and the lists prove it.
      const isCut = closed?.code === 1006;
      if (closed !== undefined && !isCut)
        this.faults.push(`a stream was closed with ${closed.code} ${closed.reason}`);
      if (!this.random.chance(0.15) && closed === undefined) continue;
      this.cut();
      await this.openStream(this.newLeg());
    }
  }

  private cut(): void {
    this.counts.cuts += 1;
    const stream = this.stream;
    this.stream = undefined;
    stream?.destroy();
  }

  private async moveToPoll(): Promise<void> {
    if (this.random.chance(0.5)) {
      // Make before break: the stream stays open until the first poll, made prompt by wait=0, was answered.
      this.counts.overlaps += 1;
      await this.askAtCursor(0, Number.POSITIVE_INFINITY);
    }
    const stream = this.stream;
    this.stream = undefined;
    if (this.random.chance(0.3)) stream?.destroy();
    else stream?.socket.close(1000);
  }

  private newLeg(): Leg {
    return { last: this.seq, repeatsUpTo: this.seq };
  }

  private moveTo(cursor: string, seq: number): void {
    // With two transports open the one behind must not take the cursor back.
    if (seq < this.seq) return;
    this.cursor = cursor;
    this.seq = seq;
  }

  private take(leg: Leg, events: readonly Envelope[]): void {
    for (const { seq = 0 } of events) {
      if (seq <= leg.last) this.faults.push(`${seq} came at or behind ${leg.last} of the same resume`);
      leg.last = seq;
      const handed = this.received.at(-1) ?? 0;
      if (seq > handed) this.received.push(seq);
      else if (seq <= leg.repeatsUpTo) this.counts.repeats += 1;
      else this.faults.push(`${seq} came again with one transport open`);
    }
  }
}
