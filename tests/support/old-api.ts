/** A long-poll API as a company had it before: integer cursors, 204 when idle. It knows nothing of Turnout. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Update {
  readonly seq: number;
  readonly kind: string;
  readonly payload: unknown;
}

interface Held {
  readonly since: number;
  readonly answer: ServerResponse;
  readonly timer: NodeJS.Timeout;
}

const pageUpdates = 150;

export class OldApi {
  readonly url: string;
  /** The most polls that one org ever had open at a time. */
  mostAtATime = 0;
  private readonly server: Server;
  private readonly updates = new Map<string, Update[]>();
  private readonly held = new Map<string, Set<Held>>();

  private constructor(server: Server) {
    this.server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request: IncomingMessage, answer: ServerResponse) => this.poll(request, answer));
  }

  static async start(): Promise<OldApi> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new OldApi(server);
  }

  add(org: string, payload: unknown): Update {
    const updates = this.of(org);
    const update = { seq: updates.length + 1, kind: 'update', payload };
    updates.push(update);
    for (const held of this.waiting(org)) {
      this.waiting(org).delete(held);
      clearTimeout(held.timer);
      this.answer(org, held.since, held.answer);
    }
    return update;
  }

  of(org: string): Update[] {
    const updates = this.updates.get(org) ?? [];
    this.updates.set(org, updates);
    return updates;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private waiting(org: string): Set<Held> {
    const held = this.held.get(org) ?? new Set<Held>();
    this.held.set(org, held);
    return held;
  }

  private poll(request: IncomingMessage, answer: ServerResponse): void {
    const { searchParams } = new URL(request.url ?? '/', this.url);
    const org = request.headers['x-org'];
    if (typeof org !== 'string') {
      answer.writeHead(401).end();
      return;
    }
    const since = Number(searchParams.get('since') ?? 0);
    if (this.of(org).length > since) {
      this.answer(org, since, answer);
      return;
    }
    const timer = setTimeout(
      () => {
        this.waiting(org).delete(held);
        answer.writeHead(204).end();
      },
      Number(searchParams.get('timeout') ?? 30) * 1000,
    );
    const held: Held = { since, answer, timer };
    this.waiting(org).add(held);
    this.mostAtATime = Math.max(this.mostAtATime, this.waiting(org).size);
    answer.on('close', () => {
      clearTimeout(timer);
      this.waiting(org).delete(held);
    });
  }

  private answer(org: string, since: number, answer: ServerResponse): void {
    const updates = this.of(org).slice(since, since + pageUpdates);
    answer.writeHead(200, { 'content-type': 'application/json' });
    answer.end(JSON.stringify({ updates, next: updates.at(-1)?.seq }));
  }
}
