/** SDK clients by the thousand, each of which knows what it has received and on what it is served since when. */
import { WebSocket } from 'ws';
import { type Client, createClient } from '../../clients/js/index.ts';
import { until } from '../until.ts';

type Transport = 'websocket' | 'long-poll';

export interface MoverSeat {
  readonly url: string;
  readonly org: string;
  readonly token: string;
}

interface Mover {
  readonly org: string;
  readonly client: Client;
  last: number;
  servedBy: Transport | undefined;
  /** `performance.now()` of the last change of `servedBy`. */
  sinceMs: number;
}

const binMs = 100;
const startAtOnce = 50;

export class Movers {
  /** Events that did not follow their client's last one, and resets. */
  misplaced = 0;
  deliveries = 0;
  private readonly movers: Mover[] = [];
  /** Polls asked, by tenth of a second. */
  private readonly bins = new Map<number, number>();
  private readonly fetch: typeof fetch = (input, init) => {
    if (typeof input === 'string' && input.includes('/realtime/poll')) {
      const bin = Math.floor(performance.now() / binMs);
      this.bins.set(bin, (this.bins.get(bin) ?? 0) + 1);
    }
    return globalThis.fetch(input, init);
  };

  /** All connected by stream, some at a time. */
  async start(seats: readonly MoverSeat[], services: readonly string[]): Promise<void> {
    for (const [index, seat] of seats.entries()) {
      this.add(seat, services);
      if (index % startAtOnce === startAtOnce - 1) await this.allOn('websocket', 60_000);
    }
    await this.allOn('websocket', 60_000);
  }

  /** Resolves once all are served by it. @throws past `withinMs`. */
  async allOn(transport: Transport, withinMs: number): Promise<void> {
    const isThere = await until(() => this.on(transport) === this.movers.length, withinMs);
    if (!isThere) throw new Error(`${this.on(transport)} of ${this.movers.length} are on ${transport}`);
  }

  on(transport: Transport): number {
    return this.movers.reduce((count, { servedBy }) => count + Number(servedBy === transport), 0);
  }

  /** When the last one came to where all are now, `performance.now()`. */
  get lastMovedMs(): number {
    return Math.max(...this.movers.map(({ sinceMs }) => sinceMs));
  }

  /** The most polls that were asked within any second of the span. */
  peakPollsPerS(fromMs: number, toMs: number): number {
    let peak = 0;
    for (let bin = Math.floor(fromMs / binMs); bin * binMs < toMs; bin += 1) {
      let inSecond = 0;
      for (let part = 0; part < 1000 / binMs; part += 1) inSecond += this.bins.get(bin + part) ?? 0;
      peak = Math.max(peak, inSecond);
    }
    return peak;
  }

  /** How far all are from these heads of their orgs' logs, together. */
  missing(headOf: (org: string) => number): number {
    return this.movers.reduce((sum, { org, last }) => sum + Math.abs(headOf(org) - last), 0);
  }

  stop(): void {
    for (const { client } of this.movers) client.stop();
  }

  private add({ url, org, token }: MoverSeat, services: readonly string[]): void {
    const client = createClient({
      url,
      token: () => token,
      services,
      WebSocket,
      fetch: this.fetch,
      onEvent: ({ seq = 0 }) => {
        // The orgs are new: whoever joined before the first event begins with 1.
        if (seq !== mover.last + 1) this.misplaced += 1;
        mover.last = seq;
        this.deliveries += 1;
      },
      onReset: () => {
        this.misplaced += 1;
      },
      onState: ({ phase, transport }) => {
        if (phase !== 'live' || transport === mover.servedBy) return;
        mover.servedBy = transport;
        mover.sinceMs = performance.now();
      },
    });
    const mover: Mover = { org, client, last: 0, servedBy: undefined, sinceMs: 0 };
    this.movers.push(mover);
    client.start();
  }
}
