/** An old API that goes by timestamps, holds nothing, and answers 200 with an empty list when idle; a key in a header. */
import type { IncomingMessage } from 'node:http';
import { listen, type OldServer, sendJson, Updates } from './old-server.ts';

const startMs = Date.UTC(2026, 0, 1);
/** An update an hour, and the microseconds that other languages write. */
const instantOf = (n: number): string => new Date(startMs + n * 3_600_000).toISOString().replace('Z', '250Z');

export async function timestampListServer(): Promise<OldServer> {
  const updates = new Updates();
  const isLoggedIn = ({ headers }: IncomingMessage): boolean => headers['x-api-key'] === 'k3y';
  const server = await listen(async (request, url, response) => {
    if (!isLoggedIn(request)) return sendJson(response, 403, { ok: false, why: 'key' });
    const after = url.searchParams.get('modified_after') ?? '';
    const items = (await updates.after(0, 0))
      .map(({ n, kind, text }) => ({ key: `k-${n}`, at: instantOf(n), topic: kind, text, read: null }))
      .filter(({ at }) => at > after);
    sendJson(response, 200, { ok: true, result: { items } });
  }, isLoggedIn);
  return {
    ...server,
    credentials: { 'x-api-key': 'k3y' },
    add: (kind, text) => updates.add(kind, text),
  };
}
