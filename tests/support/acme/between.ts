/** Stands before the company's backend: shows what it is asked with, and answers a poll otherwise where a test wants that. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Update } from './client.ts';

export interface Between {
  readonly url: string;
  /** Of the poll that came last. */
  readonly asked: IncomingHttpHeaders;
  /** Answers the next poll that has updates with these instead. */
  meddle: ((updates: Update[]) => unknown[]) | undefined;
  close(): Promise<void>;
}

export async function startBetween(backend: string): Promise<Between> {
  let asked: IncomingHttpHeaders = {};
  let meddle: Between['meddle'];
  const server = createServer((request, response) => {
    const { method, url = '/', headers } = request;
    const isPoll = method === 'GET' && url.startsWith('/api/updates');
    if (isPoll) asked = headers;
    const onward = ask(backend + url, { method, headers }, (answer) => {
      const { statusCode = 502, headers: given } = answer;
      if (!isPoll || meddle === undefined || statusCode !== 200) {
        response.writeHead(statusCode, given);
        answer.pipe(response);
        return;
      }
      const change = meddle;
      meddle = undefined;
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('end', () => {
        const body = JSON.parse(Buffer.concat(pieces).toString('utf8')) as {
          updates: Update[];
          next: number;
        };
        const text = JSON.stringify({ ...body, updates: change(body.updates) });
        const { 'content-length': _, etag: __, ...rest } = given;
        response.writeHead(statusCode, { ...rest, 'content-length': Buffer.byteLength(text) });
        response.end(text);
      });
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get asked() {
      return asked;
    },
    get meddle() {
      return meddle;
    },
    set meddle(change) {
      meddle = change;
    },
    async close() {
      const isClosed = once(server, 'close');
      server.closeAllConnections();
      server.close();
      await isClosed;
    },
  };
}
