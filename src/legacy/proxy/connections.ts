/**
 * Connections to one backend, each with one request at a time; kept while the backend keeps them. Not undici's Pool: that
 * connects anew for each request that is given up, so clients who leave would come back as idle connections.
 */
import { buildConnector, Client } from 'undici';

export class Connections {
  private readonly open: () => Client;
  private readonly all = new Set<Client>();
  private readonly idle: Client[] = [];

  constructor(origin: string, { connectMs, headerBytes }: { connectMs: number; headerBytes: number }) {
    // One for all: it remembers TLS sessions.
    const connect = buildConnector({ timeout: connectMs });
    this.open = () => new Client(origin, { connect, pipelining: 1, maxHeaderSize: headerBytes });
  }

  /** One that nobody uses; owes a `give` or a `drop`. */
  take(): Client {
    const kept = this.idle.pop();
    if (kept !== undefined) return kept;
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

  /** Its request is answered. */
  give(client: Client): void {
    this.idle.push(client);
  }

  /** Its request is given up: what is left of the answer must not reach the next. */
  drop(client: Client): void {
    this.all.delete(client);
    void client.destroy();
  }

  close(): void {
    for (const client of this.all) this.drop(client);
  }
}
