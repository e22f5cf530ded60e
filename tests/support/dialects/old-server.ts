/** What the three old APIs of the conformance suite share: a list of updates, requests that are held, a server on loopback. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Update {
  /** From 1 on. */
  readonly n: number;
  readonly kind: string;
  readonly text: string;
}

/** A real HTTP server that speaks one dialect. Knows nothing of Turnout. */
export interface OldServer {
  readonly url: string;
  /** As a client that is logged in sends them. */
  readonly credentials: Readonly<Record<string, string>>;
  add(kind: string, text: string): void;
  close(): Promise<void>;
}

export class Updates {
  readonly all: Update[] = [];

  add(kind: string, text: string): void {
    this.all.push({ n: this.all.length + 1, kind, text });
  }

  /** Those after the nth; waits for one so long. */
  async after(n: number, waitMs: number): Promise<readonly Update[]> {
    for (let left = waitMs; left > 0 && this.all.length <= n; left -= 10) await sleep(10);
    return this.all.slice(n);
  }
}

export type Handle = (request: IncomingMessage, url: URL, response: ServerResponse) => Promise<void>;

/** Listens on a free port. `/whoami` is answered as the login of all three. */
export async function listen(handle: Handle, isLoggedIn: (request: IncomingMessage) => boolean) {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname !== '/whoami') {
      handle(request, url, response).catch(() => response.destroy());
      return;
    }
    const isKnown = isLoggedIn(request);
    sendJson(response, isKnown ? 200 : 401, isKnown ? { id: 'ann', tenant: 'acme' } : {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(body));
}
