/** The backend that publishes under load: small events at a rate, or as fast as they are taken. */
import { type WireAnswer, HttpWire, httpRequest } from './http-wire.ts';

export interface PublisherOptions {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  readonly services: readonly string[];
  /** Size of an event's filler, bytes. */
  readonly padBytes?: number;
  /** Requests under way at once, at most. */
  readonly wires?: number;
}

export interface Acknowledged {
  readonly seq: number;
  readonly service: string;
}

const tickMs = 10;
const batchEvents = 500;
const answerMs = 2000;

/** Words, so that what compresses does so as text does. */
const filler = (bytes: number): string =>
  'the guest asked for a quiet room near the lift and paid in advance '
    .repeat(Math.ceil(bytes / 67))
    .slice(0, bytes);

/** Waits for a fact that an overwhelmed server may never bring about. @returns whether it came true within `withinMs` */
export async function settles(isTrue: () => boolean, withinMs: number): Promise<boolean> {
  for (const endMs = performance.now() + withinMs; !isTrue(); ) {
    if (performance.now() > endMs) return false;
    await new Promise<void>((resolve) => setTimeout(resolve, 5));
  }
  return true;
}

export class LoadPublisher {
  /** Events taken by the server. */
  published = 0;
  failed = 0;
  readonly acknowledged: Acknowledged[] = [];
  private readonly options: PublisherOptions;
  private readonly idle: HttpWire[];
  private readonly all: readonly HttpWire[];
  private readonly pad: string;
  private turn = 0;

  private constructor(options: PublisherOptions, wires: readonly HttpWire[]) {
    this.options = options;
    this.all = wires;
    this.idle = [...wires];
    this.pad = filler(options.padBytes ?? 0);
  }

  static async open(options: PublisherOptions): Promise<LoadPublisher> {
    const opening = Array.from({ length: options.wires ?? 8 }, () => HttpWire.open(options.url));
    return new LoadPublisher(options, await Promise.all(opening));
  }

  /** One batch, where a connection is free. @returns false where none is. */
  publish(count: number): Promise<boolean> | false {
    const wire = this.idle.pop();
    return wire === undefined ? false : this.send(wire, count);
  }

  /**
   * `ratePerS` events a second for `forMs`, in one batch every 10 ms. What finds no free connection is sent later in the
   * run, or never: `published` tells.
   */
  async run(ratePerS: number, forMs: number): Promise<void> {
    const startMs = performance.now();
    const underway = new Set<Promise<unknown>>();
    let asked = 0;
    for (;;) {
      const elapsedMs = performance.now() - startMs;
      if (elapsedMs >= forMs) break;
      const due = Math.min(Math.floor((elapsedMs / 1000) * ratePerS) - asked, batchEvents);
      const sending = due > 0 && this.publish(due);
      if (sending !== false) {
        asked += due;
        underway.add(sending);
        void sending.finally(() => underway.delete(sending));
      }
      await new Promise<void>((resolve) => setTimeout(resolve, tickMs));
    }
    // A server that is overwhelmed answers late or never: what it took by then counts.
    await settles(() => underway.size === 0, answerMs);
  }

  close(): void {
    for (const wire of this.all) wire.close();
  }

  private async send(wire: HttpWire, count: number): Promise<boolean> {
    const { org, services, token } = this.options;
    const events = Array.from({ length: count }, () => {
      this.turn += 1;
      const service = services[this.turn % services.length] ?? 'bench';
      return { service, type: 'tick', payload: { sentMs: performance.now(), pad: this.pad } };
    });
    let answer: WireAnswer | undefined;
    try {
      const body = JSON.stringify({ org, events });
      answer = await wire.send(httpRequest('POST', '/v1/publish', token, body));
      this.idle.push(wire);
    } catch {
      // Counted below: an error rate is what some benches are about.
    }
    if (answer?.status !== 200) {
      this.failed += 1;
      return false;
    }
    this.published += count;
    const { results = [] } = JSON.parse(answer.body.toString()) as { results?: { seq: number }[] };
    for (const [index, { seq }] of results.entries())
      this.acknowledged.push({ seq, service: events[index]?.service ?? '' });
    return true;
  }
}
