/** An old backend's `/whoami`, over a real socket: it knows sessions and tokens, can forget them, misbehave and go away. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Person {
  readonly user: unknown;
  readonly org?: unknown;
}

type Answering = (response: ServerResponse, request: IncomingMessage) => void;

export class WhoamiServer {
  /** By the credential as it comes: `Bearer x`, `sid=x`, `?token=x`. */
  readonly people = new Map<string, Person>();
  readonly asked: { readonly credential: string; readonly headers: IncomingHttpHeaders }[] = [];
  /** Instead of the truth. */
  instead: Answering | undefined;
  /** Milliseconds before an answer. */
  delayMs = 0;
  private readonly server = createServer((request, response) => this.answer(request, response));

  static async start(): Promise<WhoamiServer> {
    const whoami = new WhoamiServer();
    await new Promise<void>((resolve) => whoami.server.listen(0, '127.0.0.1', resolve));
    return whoami;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/whoami`;
  }

  askedOf(credential: string): number {
    return this.asked.filter((one) => one.credential === credential).length;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { authorization, cookie } = request.headers;
    const { search } = new URL(request.url ?? '', 'http://localhost');
    const credential =
      authorization ?? cookie ?? (request.headers['x-api-key'] as string | undefined) ?? search;
    this.asked.push({ credential, headers: request.headers });
    const answer: Answering = this.instead ?? (() => this.tell(response, credential));
    setTimeout(() => answer(response, request), this.delayMs);
  }

  private tell(response: ServerResponse, credential: string): void {
    const person = this.people.get(credential);
    response.writeHead(person === undefined ? 401 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(person ?? { error: `unknown: ${credential}` }));
  }
}

/** An auth server that can't be reached: every connection is cut. */
export const cut: Answering = (response) => void response.socket?.destroy();
