/** A backend that never gives up: each batch is sent under the same ids, to either node, until it is acknowledged. */
import { call, type ErrorAnswer } from './http-client.ts';
import type { PublishResult } from '../../schema/http.ts';
import type { Random } from './random.ts';
import { makeProducerToken } from './token-maker.ts';
import { sleep } from './until.ts';

export interface Acknowledged {
  readonly id: string;
  readonly seq: number;
  readonly epoch: string;
  /** When the request that was acknowledged was sent, by `performance.now()`. */
  readonly sentMs: number;
}

export interface StubbornPublisherOptions {
  readonly urls: readonly string[];
  readonly org: string;
  readonly services: readonly string[];
  readonly random: Random;
  readonly eventsPerS: number;
}

const lanes = 2;
const batchEveryMs = 200;

export class StubbornPublisher {
  /** One list for each lane: a lane sends its next batch when the last was acknowledged, so its seqs rise. */
  readonly acknowledged: readonly Acknowledged[][] = Array.from({ length: lanes }, () => []);
  readonly faults: string[] = [];
  /** Requests answered 503. */
  refused = 0;
  private readonly options: StubbornPublisherOptions;
  private isOver = false;

  constructor(options: StubbornPublisherOptions) {
    this.options = options;
  }

  get all(): Acknowledged[] {
    return this.acknowledged.flat();
  }

  /** Until `stop`; what was begun by then is acknowledged. */
  async publish(): Promise<void> {
    const token = await makeProducerToken();
    await Promise.all(this.acknowledged.map((list, lane) => this.publishLane(token, lane, list)));
  }

  stop(): void {
    this.isOver = true;
  }

  private async publishLane(token: string, lane: number, list: Acknowledged[]): Promise<void> {
    const { random, services, eventsPerS } = this.options;
    const mean = (eventsPerS * batchEveryMs) / 1000 / lanes;
    await sleep(random.int(0, batchEveryMs));
    for (let n = 0; !this.isOver; ) {
      const ids = Array.from({ length: random.int(1, 2 * mean - 1) }, () => `lane-${lane}-${n++}`);
      const events = ids.map((id) => ({ id, service: random.pick(services), type: 'test', payload: { n } }));
      const nextMs = performance.now() + batchEveryMs;
      list.push(...(await this.insist(token, events)));
      await sleep(Math.max(0, nextMs - performance.now()));
    }
  }

  private async insist(token: string, events: readonly { id: string }[]): Promise<Acknowledged[]> {
    const { urls, org, random } = this.options;
    for (;;) {
      const sentMs = performance.now();
      const url = random.pick(urls);
      const answer = await call<PublishResult & ErrorAnswer>(`${url}/v1/publish`, {
        token,
        body: { org, events },
      });
      const { status, body } = answer;
      if (status === 200)
        return body.results.map(({ id, seq = 0 }) => ({ id, seq, epoch: body.epoch ?? '', sentMs }));
      if (status !== 503 || body.error.code !== 'log_unavailable')
        this.faults.push(`a publish was answered ${status} ${answer.text}`);
      this.refused += 1;
      await sleep(random.int(50, 150));
    }
  }
}
