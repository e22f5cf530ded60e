/** Held polls with nothing in the way: `node:http`, no router, no token, the answer's bytes made once for all. */
import type { ServerResponse } from 'node:http';
import { listen, type PublishBody, readJson, serve } from './listen.ts';

let waiting: ServerResponse[] = [];
let seq = 0;

listen(
  serve(async (request, response) => {
    if (request.method === 'GET') {
      waiting.push(response);
      return;
    }
    const { events } = await readJson<PublishBody>(request);
    seq += 1;
    const body = Buffer.from(JSON.stringify({ events, seq, cursor: String(seq) }));
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const answered = waiting;
    waiting = [];
    for (const poll of answered) {
      poll.writeHead(200, headers);
      poll.end(body);
    }
    response.end('{}');
  }),
);
