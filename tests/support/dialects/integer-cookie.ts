/** An old API with integer cursors in the query, 204 when idle, and a session cookie. */
import type { IncomingMessage } from 'node:http';
import { listen, type OldServer, sendJson, Updates } from './old-server.ts';

/** Ids that a double would round. */
const firstId = 90_071_992_547_409_930n;

export async function integerCookieServer(): Promise<OldServer> {
  const updates = new Updates();
  const isLoggedIn = ({ headers }: IncomingMessage): boolean => headers.cookie === 'sid=s3cret';
  const server = await listen(async (request, url, response) => {
    if (!isLoggedIn(request)) return sendJson(response, 401, { error: 'not logged in' });
    const since = BigInt(url.searchParams.get('since') ?? 0) - firstId;
    const waitMs = Number(url.searchParams.get('timeout') ?? 30) * 1000;
    const found = await updates.after(since < 0n ? 0 : Number(since), waitMs);
    if (found.length === 0) {
      response.writeHead(204).end();
      return;
    }
    const list = found.map(
      ({ n, kind, text }) =>
        `{"id":${firstId + BigInt(n)},"kind":${JSON.stringify(kind)},"data":${JSON.stringify({ text })}}`,
    );
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
    response.end(`{"updates":[${list.join(',')}],"next":${firstId + BigInt(updates.all.length)}}`);
  }, isLoggedIn);
  return {
    ...server,
    credentials: { cookie: 'sid=s3cret' },
    add: (kind, text) => updates.add(kind, text),
  };
}
