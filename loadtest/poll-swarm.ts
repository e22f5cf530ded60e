/** Many long-poll clients in one process: each asks again with the cursor it was given, and knows what it has received. */
import type { Histogram } from 'hdr-histogram-js';
import { deliveredOf } from './frame-memo.ts';
import { HttpWire, httpRequest } from './http-wire.ts';

export interface PollSwarmOptions {
  readonly url: string;
  /** One client each. */
  readonly tokens: readonly string[];
  readonly services: readonly string[];
  /** Publish to receive, microseconds: the oldest event of each answer. */
  readonly latency: Histogram;
}

interface Answer {
  readonly events: Parameters<typeof deliveredOf>[0];
  readonly cursor: string;
  readonly reset?: unknown;
}

const waitS = 25;

export class PollSwarm {
  /** Events received, all clients together. */
  deliveries = 0;
  /** Events that did not follow their client's last one, and resets. */
  misplaced = 0;
  answered = 0;
  /** Answers other than 200, and connections that were cut. */
  failed = 0;
  private readonly options: PollSwarmOptions;
  private readonly wires: HttpWire[] = [];
  private isClosing = false;

  private constructor(options: PollSwarmOptions) {
    this.options = options;
  }

  /** All have their cursor, and ask on their own from here. */
  static async open(options: PollSwarmOptions): Promise<PollSwarm> {
    const swarm = new PollSwarm(options);
    await Promise.all(options.tokens.map((token) => swarm.join(token)));
    return swarm;
  }

  close(): void {
    this.isClosing = true;
    for (const wire of this.wires) wire.close();
  }

  private async join(token: string): Promise<void> {
    const wire = await HttpWire.open(this.options.url);
    this.wires.push(wire);
    const first = await this.ask(wire, token, undefined);
    void this.follow(wire, token, first.cursor).catch(() => {
      if (!this.isClosing) this.failed += 1;
    });
  }

  private async follow(wire: HttpWire, token: string, start: string): Promise<void> {
    let cursor = start;
    let last = -1;
    while (!this.isClosing) {
      const answer = await this.ask(wire, token, cursor);
      cursor = answer.cursor;
      if (answer.reset !== undefined) this.misplaced += 1;
      const { seqs, sentMs } = deliveredOf(answer.events);
      for (const seq of seqs) {
        if (last >= 0 && seq !== last + 1) this.misplaced += 1;
        last = seq;
      }
      this.deliveries += seqs.length;
      const [oldestMs] = sentMs;
      if (oldestMs !== undefined)
        this.options.latency.recordValue(Math.max(1, Math.round((performance.now() - oldestMs) * 1000)));
    }
  }

  private async ask(wire: HttpWire, token: string, cursor: string | undefined): Promise<Answer> {
    const from = cursor === undefined ? '' : `&cursor=${cursor}`;
    const path = `/v1/realtime/poll?services=${this.options.services.join(',')}&wait=${waitS}${from}`;
    const { status, body } = await wire.send(httpRequest('GET', path, token));
    if (status !== 200) throw new Error(`a poll was answered ${status}: ${body.toString()}`);
    this.answered += 1;
    return JSON.parse(body.toString()) as Answer;
  }
}
