/**
 * Connections to one backend: a bounded number, each with one request at a time, kept while the backend keeps them. Not
 * undici's Pool: that connects anew for each request that is given up, so clients who leave would come back as idle
 * connections.
 */
import { buildConnector, Client } from 'undici';
import { Slots } from '../../async/slots.ts';
import type { Cancel, Clock } from '../../clock.ts';

export const defaultBounds = {
  /** To each upstream: a held poll holds one. */
  connections: 10_000,
  maxQueued: 1000,
  queueMs: 2000,
  connectMs: 5000,
  /** How long an upstream may be silent while it owes an answer, where the profile's wait isn't longer. */
  silenceMs: 5 * 60_000,
  /** Of an answer, names and values together. */
  headerBytes: 64 * 1024,
  /** Requests whose body is waited for, of all upstreams: each holds up to 16 KiB. */
  maxBodies: 4000,
  /** How long a client may take for each 16 KiB of a request's body, while it is waited for. */
  bodyMs: 30_000,
};

export type PassthroughBounds = Readonly<typeof defaultBounds>;

export class Connections {
  private readonly slots: Slots;
  private readonly open: () => Client;
  private readonly all = new Set<Client>();
  private readonly idle: Client[] = [];

  constructor(origin: string, bounds: PassthroughBounds, clock: Pick<Clock, 'after'>) {
    const { connections, maxQueued, queueMs, connectMs, headerBytes } = bounds;
    this.slots = new Slots({ size: connections, maxQueued, queueMs, isShared: true, clock });
    // One for all: it remembers TLS sessions.
    const connect = buildConnector({ timeout: connectMs });
    this.open = () => new Client(origin, { connect, pipelining: 1, maxHeaderSize: headerBytes });
  }

  /**
   * Calls `enter` with one that nobody uses, once there is room, or `refuse`. Each `enter` owes a `give`.
   * @param network the client's; undefined where per-address limits are off
   * @returns gives the place in the queue up; harmless afterwards
   */
  take(network: string | undefined, enter: (client: Client) => void, refuse: () => void): Cancel {
    return this.slots.take(network, () => enter(this.idle.pop() ?? this.connected()), refuse);
  }

  /** @param isAnswered else its request is given up: what is left of the answer must not reach the next */
  give(network: string | undefined, client: Client, isAnswered: boolean): void {
    if (isAnswered) this.idle.push(client);
    else this.drop(client);
    this.slots.leave(network);
  }

  close(): void {
    for (const client of this.all) this.drop(client);
  }

  private connected(): Client {
    const client = this.open();
    this.all.add(client);
    client.on('disconnect', () => {
      const place = this.idle.lastIndexOf(client);
      if (place === -1) return;
      this.idle.splice(place, 1);
      this.drop(client);
    });
    return client;
  }

  private drop(client: Client): void {
    this.all.delete(client);
    void client.destroy();
  }
}
