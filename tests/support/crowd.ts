/** A crowd of SDK clients in one test, each with the list of what it handed over. */
import { WebSocket } from 'ws';
import type { Envelope } from '../../schema/envelope.ts';
import { type Client, type ClientOptions, createClient } from '../../clients/js/index.ts';
import { type Publisher, seqs } from './publisher.ts';
import { makeToken } from './token-maker.ts';
import { sleep, until } from './until.ts';

export interface Watched {
  readonly user: string;
  readonly client: Client;
  readonly services: readonly string[];
  readonly events: Envelope[];
  readonly resets: string[];
  readonly problems: string[];
  /** Every state it was in: `live websocket`, `moving long-poll`, `negotiating`. */
  readonly states: string[];
}

export class Crowd {
  readonly members: Watched[] = [];

  /** Starts one more client, in org acme. */
  add(url: string, user: string, services: readonly string[], more: Partial<ClientOptions> = {}): Watched {
    const token = makeToken({ sub: user, publish: ['*'] });
    const kept = {
      events: [] as Envelope[],
      resets: [] as string[],
      problems: [] as string[],
      states: [] as string[],
    };
    const client = createClient({
      url,
      token: () => token,
      services,
      WebSocket,
      onEvent: (event) => kept.events.push(event),
      onReset: (reason) => kept.resets.push(reason),
      onError: ({ code, message }) => kept.problems.push(`${code} ${message}`),
      onState: ({ phase, transport }) =>
        kept.states.push(transport === undefined ? phase : `${phase} ${transport}`),
      ...more,
    });
    const watched = { user, client, services, ...kept };
    this.members.push(watched);
    client.start();
    return watched;
  }

  stop(): void {
    for (const { client } of this.members.splice(0)) client.stop();
  }

  /** Resolves once all are served by this transport alone. */
  allOn(transport: string): Promise<void> {
    return until(
      () =>
        this.members.every(
          ({ client: { state } }) => state.phase === 'live' && state.transport === transport,
        ),
      () => `everybody on ${transport}:\n${this.describe()}`,
    );
  }

  describe(): string {
    const lines = this.members.map(({ client, events, states, problems }) =>
      JSON.stringify({
        at: client.state,
        events: events.length,
        states: states.slice(-8),
        problems: problems.slice(-3),
      }),
    );
    return lines.join('\n');
  }

  /**
   * Waits until each has handed over as many events as were published to its services.
   * @returns both lists of each: to be equal, in order.
   */
  async lists(publisher: Publisher): Promise<{ received: number[][]; expected: number[][] }> {
    const expected = ({ user, services }: Watched): number[] => publisher.expected(user, services);
    await until(
      () => this.members.every((one) => one.events.length >= expected(one).length),
      () => `all ${publisher.published.length} events:\n${this.describe()}`,
    );
    // Whatever would come twice has time to.
    await sleep(300);
    return { received: this.members.map(({ events }) => seqs(events)), expected: this.members.map(expected) };
  }
}
