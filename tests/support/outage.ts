/**
 * One outage from its beginning to its end: readers on both nodes and both transports, a publisher, a fault in the middle;
 * then every list is compared with what the log kept.
 */
import { call } from './http-client.ts';
import type { Gateway } from './node-process.ts';
import { OutageReader, type Given, type Segment } from './outage-reader.ts';
import { PollClient } from './poll-client.ts';
import type { Random } from './random.ts';
import { type Acknowledged, StubbornPublisher } from './stubborn-publisher.ts';
import { makeToken } from './token-maker.ts';
import { sleep, until } from './until.ts';

export interface OutageOptions {
  readonly name: string;
  readonly gateways: readonly Gateway[];
  readonly random: Random;
  /** How far what was acknowledged survives this fault: all of it, or what was sent after the moment that `strike` tells. */
  readonly keeps: 'all' | 'later';
  /** Publishes are refused, and /readyz says degraded, in the middle of it. */
  readonly isFelt: boolean;
  /** Brings the fault and takes it away again. @returns when (performance.now()) the log was whole again. */
  readonly strike: (outage: Outage) => Promise<number>;
}

export interface Outcome {
  readonly fault: string;
  readonly events: number;
  readonly refused: number;
  readonly lost: number;
  readonly repeated: number;
  readonly resets: string;
  readonly recoveredS: number;
  /** Everything that the promises do not allow. */
  readonly faults: readonly string[];
}

interface Kept {
  readonly epoch: string;
  readonly entries: ReadonlyMap<number, Omit<Given, 'seq'>>;
  readonly head: number;
}

const services = ['finance', 'chat'];
const readerCount = 100;
const eventsPerS = 200;
const calmMs = 400;

interface Ready {
  readonly status: string;
}

export class Outage {
  readonly org: string;
  readonly publisher: StubbornPublisher;
  private readonly options: OutageOptions;
  private readonly readers: readonly OutageReader[];

  private constructor(options: OutageOptions) {
    this.options = options;
    const { name, gateways, random } = options;
    this.org = name.replaceAll(/[^a-z0-9]+/gi, '-');
    const urls = gateways.map(({ url }) => url);
    this.publisher = new StubbornPublisher({ urls, org: this.org, services, random, eventsPerS });
    this.readers = Array.from(
      { length: readerCount },
      (_, n) =>
        new OutageReader({
          urls,
          org: this.org,
          user: `user-${n}`,
          services,
          random,
          transport: n % 2 === 0 ? 'poll' : 'stream',
          isRoaming: n % 4 >= 2,
        }),
    );
  }

  static async run(options: OutageOptions): Promise<Outcome> {
    const outage = new Outage(options);
    return outage.run();
  }

  /** Both nodes serve, and say that they miss the log; publishes are refused. */
  async untilFelt(): Promise<void> {
    const { refused } = this.publisher;
    await until(
      () => this.publisher.refused,
      'a publish to be refused',
      (seen) => seen > refused,
    );
    await this.untilAll('degraded');
  }

  /** Some of what is acknowledged from now on was read: if the log loses it, somebody was given what is lost. */
  async untilRead(): Promise<void> {
    const sinceMs = performance.now();
    await until(
      () => this.readers.some((reader) => isAt(reader, this.firstSince(sinceMs))),
      'a reader to have what was just published',
    );
  }

  private async run(): Promise<Outcome> {
    const { options, publisher, readers } = this;
    await this.untilAll('ok');
    await Promise.all(readers.map((reader) => reader.start()));
    const reading = Promise.all(readers.map((reader) => reader.read()));
    const publishing = publisher.publish();
    await sleep(calmMs);

    const healedMs = await options.strike(this);
    await until(
      () => this.firstSince(healedMs),
      'a publish after the fault',
      (seen) => seen !== undefined,
    );
    const marker = this.firstSince(healedMs);
    await until(
      () => readers.every((reader) => isAt(reader, marker)),
      () => this.stragglers(marker),
    );
    const recoveredS = (performance.now() - healedMs) / 1000;
    await this.untilAll('ok');
    await sleep(calmMs);

    publisher.stop();
    await publishing;
    const kept = await this.readKept();
    const last = { epoch: kept.epoch, seq: kept.head };
    await until(
      () => readers.every((reader) => isAt(reader, last)),
      () => this.stragglers(last),
    );
    for (const reader of readers) reader.stop();
    await reading;
    return this.judge(kept, healedMs, recoveredS);
  }

  private firstSince(ms: number): Acknowledged | undefined {
    return this.publisher.all.find(({ sentMs }) => sentMs > ms);
  }

  private stragglers(at: Place | undefined): string {
    const late = this.readers.filter((reader) => !isAt(reader, at));
    const tell = late
      .slice(0, 5)
      .map(({ user, epoch, seq, faults }) => `${user} ${epoch} ${seq} ${faults.join()}`);
    return `${late.length} readers to reach ${at?.epoch} ${at?.seq}: ${tell.join('; ')}`;
  }

  private async untilAll(status: 'ok' | 'degraded'): Promise<void> {
    for (const { url } of this.options.gateways)
      await until(async () => {
        const ready = await call<Ready>(`${url}/readyz`);
        // A node that starts says so for a moment; one that serves never does again.
        const isStarting = ready.body.status === 'starting' && this.publisher.all.length === 0;
        if (ready.status !== 200 && !isStarting)
          throw new Error(`/readyz was answered ${ready.status} ${ready.text}`);
        return ready.body.status === status;
      }, `/readyz to say ${status}`);
  }

  private async readKept(): Promise<Kept> {
    const [gateway] = this.options.gateways;
    const token = await makeToken({ org: this.org, sub: 'auditor' });
    const client = new PollClient(gateway?.url ?? '', token, services, 'earliest');
    const entries = new Map<number, Omit<Given, 'seq'>>();
    for (const { seq = 0, id, timestamp } of await client.drain()) entries.set(seq, { id, timestamp });
    const { epoch, seq } = await client.ask({ wait: 0 });
    client.close();
    return { epoch, entries, head: seq };
  }

  private judge(kept: Kept, healedMs: number, recoveredS: number): Outcome {
    const { publisher, readers, options } = this;
    const faults = [...publisher.faults];
    for (const reader of readers) {
      const theirs = [...reader.faults, ...reader.segments.flatMap((segment) => judgeSegment(segment, kept))];
      faults.push(...theirs.map((fault) => `${reader.user}: ${fault}`));
    }
    const ids = new Set([...kept.entries.values()].map(({ id }) => id));
    if (ids.size !== kept.entries.size) faults.push('the log kept an id twice');
    const isKept = ({ id, seq, epoch }: Acknowledged): boolean =>
      epoch === kept.epoch && kept.entries.get(seq)?.id === id;
    const lost = publisher.all.filter((one) => !isKept(one));
    for (const { id, seq, sentMs } of lost)
      if (options.keeps === 'all' || sentMs > healedMs)
        faults.push(`${id} was acknowledged as ${seq} and is lost`);
    for (const lane of publisher.acknowledged) {
      const rising = lane.filter(isKept).map(({ seq }) => seq);
      if (rising.some((seq, at) => seq <= (rising[at - 1] ?? 0)))
        faults.push('the seqs of a lane do not rise');
    }
    const isQuiet = publisher.refused === 0;
    if (options.isFelt && isQuiet) faults.push('no publish was refused');
    for (const { isRunning } of options.gateways) if (!isRunning) faults.push('a gateway ended');
    const resets = new Map<string, number>();
    for (const { reset } of readers.flatMap(({ segments }) => segments))
      if (reset !== undefined) resets.set(reset.reason, (resets.get(reset.reason) ?? 0) + 1);
    return {
      fault: options.name,
      events: publisher.all.length,
      refused: publisher.refused,
      lost: lost.length,
      repeated: readers.reduce((sum, reader) => sum + reader.repeats, 0),
      resets: [...resets].map(([reason, count]) => `${count} ${reason}`).join(', ') || '0',
      recoveredS: Number(recoveredS.toFixed(2)),
      faults,
    };
  }
}

interface Place {
  readonly epoch: string;
  readonly seq: number;
}

const isAt = (reader: OutageReader, place: Place | undefined): boolean =>
  place !== undefined && reader.epoch === place.epoch && reader.seq >= place.seq;

/** What a segment holds that the log, as it stands in the end, does not justify. */
function judgeSegment({ epoch, after, given, reset }: Segment, kept: Kept): string[] {
  const isInLog = ({ seq, id, timestamp }: Given): boolean => {
    const entry = kept.entries.get(seq);
    return epoch === kept.epoch && entry?.id === id && entry.timestamp === timestamp;
  };
  const firstOutside = given.findIndex((one) => !isInLog(one));
  const last = given.at(-1)?.seq ?? after;
  if (reset === undefined) {
    if (firstOutside >= 0) return [`was given ${given[firstOutside]?.id}, which the log does not have there`];
    return epoch === kept.epoch && last === kept.head ? [] : [`ends at ${epoch} ${last}`];
  }
  const faults: string[] = [];
  // What was lost is a tail: whoever was given some of it is given nothing more of the log that is.
  if (firstOutside >= 0 && given.slice(firstOutside).some(isInLog))
    faults.push('was given two histories as one');
  const isLost = epoch !== kept.epoch || firstOutside >= 0;
  if (!isLost && given.length > 0)
    faults.push(`was told ${reset.reason} though the log has all that it was given`);
  const right = reset.epoch !== epoch ? 'epoch' : last > reset.headSeq ? 'ahead' : 'fork';
  if (reset.reason !== right) faults.push(`was told ${reset.reason} at ${last}, not ${right}`);
  return faults;
}

export const tellOutcome = (outcome: Outcome): string =>
  `${outcome.fault} → ${outcome.events} events (${outcome.refused} publishes refused) → lost ${outcome.lost}` +
  ` / repeated ${outcome.repeated} / resets ${outcome.resets} → ${outcome.recoveredS} s to recover`;
