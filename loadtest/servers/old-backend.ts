/** An old API that costs nearly nothing: an answer of `BYTES` made once, with the headers that such an API sends. */
import { createServer } from 'node:http';
import { listen } from './listen.ts';

const body = Buffer.alloc(Number(process.env['BYTES'] ?? '1000'), '{"updates":[]}');
const headers: [string, string][] = [
  ['Content-Type', 'application/json; charset=utf-8'],
  ['Content-Length', String(body.length)],
  ['ETag', 'W/"3e8-abc"'],
  ['Set-Cookie', 'a=1; Path=/'],
  ['Set-Cookie', 'b=2; Path=/'],
];

listen(
  createServer((request, response) => {
    request.resume();
    response.writeHead(200, headers.flat());
    response.end(body);
  }),
);
