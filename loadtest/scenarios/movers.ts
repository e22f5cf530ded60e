/** SDK clients by the thousand, each of which knows what it has received and on what it is served since when. */
import { WebSocket } from 'ws';
import { type Client, createClient } from '../../clients/js/index.ts';
import { settles } from '../publisher.ts';
import { WireFetch } from '../wire-fetch.ts';

type Transport = 'websocket' | 'long-poll';

export interface MoverSeat {
  readonly url: string;
  readonly org: string;
  readonly token: string;
}

interface Mover {
  readonly org: string;
  readonly client: Client;
  readonly wire: WireFetch;
  last: number;
  servedBy: Transport | undefined;
  /** `performance.now()` of the last change of `servedBy`. */
  sinceMs: number;
}

const startAtOnce = 50;

export class Movers {
  /** Events that did not follow their client's last one, and resets. */
  misplaced = 0;
  deliveries = 0;
  private readonly movers: Mover[] = [];
  /** Moments at which each node was asked a poll, `performance.now()`. */
  private readonly polls = new Map<string, number[]>();

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
    const isThere = await settles(() => this.on(transport) === this.movers.length, withinMs);
    if (!isThere) throw new Error(`${this.on(transport)} of ${this.movers.length} are on ${transport}`);
  }

  on(transport: Transport): number {
    return this.movers.reduce((count, { servedBy }) => count + Number(servedBy === transport), 0);
  }

  /** When the last one came to where all are now, `performance.now()`. */
  get lastMovedMs(): number {
    return Math.max(...this.movers.map(({ sinceMs }) => sinceMs));
  }

  /** The most polls that one node was asked within any second of the span. */
  peakPollsPerS(fromMs: number, toMs: number): number {
    const peaks = [...this.polls.values()].map((asked) =>
      busiestSecond(asked.filter((atMs) => atMs >= fromMs && atMs <= toMs)),
    );
    return Math.max(0, ...peaks);
  }

  /** How many came to where all are now within the busiest second of it. */
  get peakMovesPerS(): number {
    return busiestSecond(this.movers.map(({ sinceMs }) => sinceMs).toSorted((one, other) => one - other));
  }

  /** How far all are from these heads of their orgs' logs, together. */
  missing(headOf: (org: string) => number): number {
    return this.movers.reduce((sum, { org, last }) => sum + Math.abs(headOf(org) - last), 0);
  }

  stop(): void {
    for (const { client, wire } of this.movers) {
      client.stop();
      wire.close();
    }
  }

  private add({ url, org, token }: MoverSeat, services: readonly string[]): void {
    const wire = new WireFetch();
    const polls = this.polls.get(url) ?? [];
    this.polls.set(url, polls);
    const client = createClient({
      url,
      token: () => token,
      services,
      WebSocket,
      fetch: (input, init) => {
        // The SDK asks by text.
        const asked = input as string;
        if (asked.includes('/realtime/poll')) polls.push(performance.now());
        return wire.fetch(asked, init);
      },
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
    const mover: Mover = { org, client, wire, last: 0, servedBy: undefined, sinceMs: 0 };
    this.movers.push(mover);
    client.start();
  }
}

/** The most of these moments, in order, that lie within one second. */
function busiestSecond(moments: readonly number[]): number {
  let [first, most] = [0, 0];
  for (const [index, atMs] of moments.entries()) {
    while ((moments[first] ?? atMs) <= atMs - 1000) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}
