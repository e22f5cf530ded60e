/** An old API whose cursor is a string of its own in `If-None-Match` and `ETag`, 304 when idle, bearer tokens. */
import type { IncomingMessage } from 'node:http';
import { listen, type OldServer, sendJson, Updates } from './old-server.ts';

const uidOf = (n: number): string => `u:${(n * 7919).toString(36)}/${n}`;

export async function etagBearerServer(): Promise<OldServer> {
  const updates = new Updates();
  const isLoggedIn = ({ headers }: IncomingMessage): boolean => headers.authorization === 'Bearer t0ken';
  const server = await listen(async (request, _url, response) => {
    if (!isLoggedIn(request))
      return sendJson(response, 401, { code: 'token' }, { 'www-authenticate': 'Bearer' });
    const known = /^"u:[0-9a-z]+\/(\d+)"$/.exec(request.headers['if-none-match'] ?? '')?.[1] ?? '0';
    const waitMs = Number(request.headers['prefer-wait'] ?? 300);
    const found = await updates.after(Number(known), waitMs);
    const etag = `"${uidOf(updates.all.length)}"`;
    if (found.length === 0) {
      response.writeHead(304, { etag, 'cache-control': 'no-store' }).end();
      return;
    }
    const list = found.map(({ n, kind, text }) => ({ uid: uidOf(n), event: kind, body: { text, tags: [] } }));
    sendJson(response, 200, list, { etag, 'cache-control': 'no-store' });
  }, isLoggedIn);
  return {
    ...server,
    credentials: { authorization: 'Bearer t0ken' },
    add: (kind, text) => updates.add(kind, text),
  };
}
