/** What an old client and an old backend see of the node between them: as little as HTTP allows. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { SeenAnswer, TapRoom } from '../../../src/legacy/proxy/answer-tap.ts';
import { call } from '../../support/http-client.ts';
import { type LegacyNodeOptions, openLegacyNode, plainProfile } from '../../support/legacy-node.ts';
import { openRaw } from '../../support/raw-socket.ts';
import { answerText, RawUpstream, type Say } from '../../support/raw-upstream.ts';
import { until } from '../../support/until.ts';

async function behindRaw(say: Say, options: LegacyNodeOptions = {}) {
  const upstream = await RawUpstream.open(say);
  const node = await openLegacyNode(plainProfile(upstream.url), options);
  onTestFinished(async () => {
    await node.close();
    upstream.close();
  });
  return { upstream, node };
}

async function behindHttp(listener: RequestListener, options: LegacyNodeOptions = {}) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const node = await openLegacyNode(plainProfile(`http://127.0.0.1:${port}`), options);
  onTestFinished(async () => {
    await node.close();
    server.close();
    server.closeAllConnections();
  });
  return node;
}

/** Forwards each poll as it came, and keeps what is seen of its answer. */
const watching = (room: TapRoom, seen: SeenAnswer[]): Required<LegacyNodeOptions>['stands'] => ({
  offer: async () => ({ tap: { maxBytes: 4, room, onAnswer: (answer) => seen.push(answer) } }),
});

/** Asks on a connection of its own. @returns all that came until the node closed it */
async function ask(url: string, lines: readonly string[], body = ''): Promise<string> {
  const raw = await openRaw(url, [...lines, 'Connection: close', '', body].join('\r\n'));
  await until(() => raw.isClosed(), 'the answer’s end');
  return raw.said();
}

describe('an answer', () => {
  it('keeps its headers as they came, twice where they came twice, and gets none of ours', async () => {
    const headers = [
      'Server: old/1.0',
      'Set-Cookie: a=1; Path=/',
      'set-cookie: b=2',
      'X-ODD-Case: Gr\u00fc\u00dfe',
      'Content-Encoding: gzip',
      'Date: Thu, 01 Jan 1970 00:00:00 GMT',
    ];
    const { node } = await behindRaw(
      (socket) =>
        void socket.write(answerText('200 All Right', headers, '\u001f\u008bnot touched'), 'latin1'),
    );
    const said = await ask(node.url, [
      'GET /api/updates HTTP/1.1',
      'Host: old',
      'Origin: https://else.where',
    ]);
    const [head = '', body] = said.split('\r\n\r\n');
    const [status, ...lines] = head.split('\r\n');
    expect(status).toBe('HTTP/1.1 200 All Right');
    expect(body).toBe('\u001f\u008bnot touched');
    expect(lines.toSorted()).toEqual([...headers, 'Content-Length: 13', 'Connection: close'].toSorted());
  });

  it('loses what is of the other connection alone, and what that names', async () => {
    const { node } = await behindRaw(
      (socket) =>
        void socket.write(
          answerText('200 OK', [
            'Connection: X-Hop, keep-alive',
            'X-Hop: 1',
            'Keep-Alive: timeout=9',
            'X-Stays: 1',
          ]),
        ),
    );
    const said = await ask(node.url, ['GET /api/updates HTTP/1.1', 'Host: old']);
    expect(said).toContain('X-Stays: 1');
    expect(said).not.toMatch(/x-hop|timeout=9|date:/i);
  });

  it.each([
    ['204', 'GET', answerText('204 No Content', [])],
    ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "7"\r\nContent-Length: 99\r\n\r\n'],
    ['HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n'],
  ])('%s has no body, and the next request is answered', async (_, method, text) => {
    const { node, upstream } = await behindRaw((socket) => void socket.write(text));
    const lines = [`${method} /api/updates HTTP/1.1`, 'Host: old'];
    for (let turn = 0; turn < 2; turn += 1) expect(await ask(node.url, lines)).toMatch(/\r\n\r\n$/);
    expect(upstream.asked.length).toBe(2);
  });

  it('shows its head and each piece as soon as the backend sends them', async () => {
    const pieces: ((text: string) => void)[] = [];
    const node = await behindHttp((_, response) => {
      response.flushHeaders();
      pieces.push((text) => response.write(text));
    });
    const raw = await openRaw(node.url, 'GET /api/updates HTTP/1.1\r\nHost: old\r\n\r\n');
    await until(() => raw.said().includes('\r\n\r\n'), 'the head');
    pieces[0]?.('first');
    await until(() => raw.said().includes('first'), 'the first piece');
    expect(raw.said()).not.toContain('second');
    pieces[0]?.('second');
    await until(() => raw.said().includes('second'), 'the second piece');
    raw.socket.destroy();
    await until(() => node.passthrough.open, 'nothing open', 0);
  });

  it('may be early hints first: those stay here', async () => {
    const { node } = await behindRaw(
      (socket) =>
        void socket.write(
          `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${answerText('200 OK', [], 'fine')}`,
        ),
    );
    expect((await call(`${node.url}/api/updates`)).text).toBe('fine');
  });
});

describe('a request', () => {
  const echo: Say = (socket, head) => void socket.write(answerText('200 OK', [], head));

  it('arrives with its method, target, headers and body as they were sent', async () => {
    const { node, upstream } = await behindRaw(echo);
    await ask(
      node.url,
      [
        'PUT /api/a%20b?x=1&x=2&y=%C3%BC HTTP/1.1',
        'Host: shop.example',
        'X-Twice: 1',
        'X-Twice: 2',
        'Content-Length: 5',
      ],
      'hello',
    );
    const [head = ''] = upstream.asked;
    expect(head).toMatch(/^PUT \/api\/a%20b\?x=1&x=2&y=%C3%BC HTTP\/1\.1\r\n/);
    expect(head).toMatch(/host: shop\.example\r\n/i);
    expect(head).toContain('X-Twice: 1\r\nX-Twice: 2\r\n');
    expect(head.toLowerCase()).not.toContain('via:');
  });

  it('of any size is streamed, with a length or in chunks', async () => {
    const sizes: number[] = [];
    const node = await behindHttp((request, response) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => {
        sizes.push(bytes);
        response.end(String(request.headers['content-length'] ?? request.headers['transfer-encoding']));
      });
    });
    const body = 'x'.repeat(3_000_000);
    expect((await call(`${node.url}/api/upload`, { body })).text).toBe('3000000');
    const chunked = await ask(
      node.url,
      ['POST /api/upload HTTP/1.1', 'Host: old', 'Transfer-Encoding: chunked', 'Expect: 100-continue'],
      '5\r\nhello\r\n0\r\n\r\n',
    );
    expect(chunked).toContain('HTTP/1.1 100 Continue');
    expect(chunked).toContain('chunked');
    expect(sizes).toEqual([3_000_000, 5]);
  });

  it('loses what is of its connection alone, and tells who asks', async () => {
    const { node, upstream } = await behindRaw(echo);
    await ask(node.url, [
      'GET /api/updates HTTP/1.1',
      'Host: shop.example',
      'TE: trailers',
      'Keep-Alive: 5',
      'X-Forwarded-For: 9.9.9.9',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: evil.example',
    ]);
    const [head = ''] = upstream.asked;
    expect(head).not.toMatch(/^(te|keep-alive):|9\.9\.9\.9|evil/im);
    expect(head).toContain('X-Forwarded-For: 127.0.0.1\r\n');
    expect(head).toContain('X-Forwarded-Proto: http\r\n');
    expect(head).toContain('X-Forwarded-Host: shop.example\r\n');
  });

  it('of a trusted proxy keeps what that says, and the chain grows', async () => {
    const { node, upstream } = await behindRaw(echo, { trustedProxies: ['127.0.0.0/8'] });
    await ask(node.url, [
      'GET /api/updates HTTP/1.1',
      'Host: node-7',
      'X-Forwarded-For: 9.9.9.9',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: shop.example',
    ]);
    const [head = ''] = upstream.asked;
    expect(head).toContain('X-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n');
    expect(head).toContain('X-Forwarded-Proto: https\r\n');
    expect(head).toContain('X-Forwarded-Host: shop.example\r\n');
  });

  it('is of the old API only where the profile says so', async () => {
    const { node, upstream } = await behindRaw(echo, { isOwn: (path) => path === '/api/mine' });
    for (const path of ['/', '/api', '/login/x', '/apis', '/api/mine'])
      expect(await ask(node.url, [`GET ${path} HTTP/1.1`, 'Host: old'])).toContain('not of the old API');
    for (const path of ['/api/', '/api/x?y=/../z', '/login?next=/'])
      expect(await ask(node.url, [`GET ${path} HTTP/1.1`, 'Host: old'])).toContain(`GET ${path} HTTP`);
    expect(upstream.asked.length).toBe(3);
  });

  it('that the client gives up is given up at the backend', async () => {
    const closed: IncomingMessage[] = [];
    const node = await behindHttp((request, response) => {
      response.on('close', () => closed.push(request));
    });
    const raw = await openRaw(node.url, 'GET /api/updates HTTP/1.1\r\nHost: old\r\n\r\n');
    await until(() => node.passthrough.open, 'held', 1);
    raw.socket.destroy();
    await until(() => closed.length, 'the backend’s end', 1);
    expect(await node.metrics()).toContain('status="gone"} 1');
  });
});

describe('a drain', () => {
  it('lets a held request finish, and tells its client to go elsewhere', async () => {
    let answer: (() => void) | undefined;
    const { node } = await behindRaw((socket) => {
      answer = () => void socket.write(answerText('200 OK', [], 'in time'));
    });
    const held = call(`${node.url}/api/updates`);
    // The node has it before the backend does.
    await until(
      () => answer,
      'the backend to be asked',
      (seen) => seen !== undefined,
    );
    const drained = node.passthrough.drain(5000);
    answer?.();
    const { text, headers } = await held;
    expect([text, headers.connection]).toEqual(['in time', 'close']);
    await drained;
  });

  it('answers what is still held when its time is up', async () => {
    const { node } = await behindRaw(() => undefined);
    const held = call(`${node.url}/api/updates`);
    await until(() => node.passthrough.open, 'held', 1);
    await node.passthrough.drain(50);
    const { status, headers } = await held;
    expect([status, headers.connection, headers['retry-after']]).toEqual([503, 'close', '1']);
  });
});

describe('the last call', () => {
  it('answers who comes after the drain, before the node cuts what is left', async () => {
    const { node } = await behindRaw((socket, head) => {
      if (head.startsWith('GET /api/quick')) socket.write(answerText('200 OK', [], 'in time'));
    });
    await node.passthrough.drain(0);
    node.passthrough.lastCall();
    expect((await call(`${node.url}/api/quick`)).text).toBe('in time');
    const { status, headers } = await call(`${node.url}/api/updates`);
    expect([status, headers.connection, headers['retry-after']]).toEqual([503, 'close', '1']);
  });
});

describe('an old backend that is away', () => {
  it('is told in the words that the profile has for it, and in ours for what it has none for', async () => {
    const profile = plainProfile('http://127.0.0.1:1');
    const body = { oops: 'try later' };
    profile.response.error['502'] = { status: 500, headers: { 'x-old': '1' }, body };
    const node = await openLegacyNode(profile);
    onTestFinished(() => node.close());
    const { status, headers, text } = await call(`${node.url}/api/updates`);
    expect([status, headers['x-old'], JSON.parse(text)]).toEqual([500, '1', body]);

    const other = await openLegacyNode(plainProfile('http://127.0.0.1:1'));
    onTestFinished(() => other.close());
    expect((await call(`${other.url}/api/updates`)).text).toContain('upstream_unreachable');
  });
});

describe('a poll', () => {
  it('is offered to those who could serve it; left by them, it passes with its body', async () => {
    const offered: string[] = [];
    const { node, upstream } = await behindRaw(
      (socket) => void socket.write(answerText('200 OK', [], 'theirs')),
      {
        stands: {
          async offer(poll) {
            const { url } = poll.request;
            offered.push(`${url} ${await poll.text()}`);
            if (url?.includes('since=1') !== true) return {};
            return { answer: { status: 200, headers: { 'x-by': 'turnout' }, body: Buffer.from('ours') } };
          },
        },
      },
    );
    const lines = ['Host: old', 'Content-Length: 4'];
    expect(await ask(node.url, ['GET /api/updates?since=1 HTTP/1.1', ...lines], 'body')).toContain(
      '\r\n\r\nours',
    );
    expect(await ask(node.url, ['GET /api/updates?since=2 HTTP/1.1', ...lines], 'body')).toContain('theirs');
    await ask(node.url, ['POST /api/updates HTTP/1.1', ...lines], 'body');
    expect(offered).toEqual(['/api/updates?since=1 body', '/api/updates?since=2 body']);
    expect(upstream.asked.map((head) => head.split(' ')[0])).toEqual(['GET', 'POST']);
    const metrics = await node.metrics();
    expect(metrics).toContain('answered_by="turnout",status="2xx"} 1');
    expect(metrics).toContain('route="/api/updates",answered_by="upstream",status="2xx"} 2');
  });

  it('that Turnout fails to serve is the old backend’s, its body with it', async () => {
    const { node, upstream } = await behindRaw(
      (socket) => void socket.write(answerText('200 OK', [], 'old')),
      {
        stands: {
          async offer(poll) {
            await poll.text();
            if (poll.request.url?.includes('throws') === true) throw new RangeError('a fault of ours');
            // No header may hold it: the fault comes when it is written.
            return { answer: { status: 200, headers: { 'x-next': '\u2603' }, body: undefined } };
          },
        },
      },
    );
    for (const target of ['/api/updates?throws', '/api/updates?unwritable'])
      expect(
        await ask(node.url, [`GET ${target} HTTP/1.1`, 'Host: old', 'Content-Length: 4'], 'body'),
      ).toContain('\r\n\r\nold');
    expect(upstream.asked.length).toBe(2);
  });

  it('can be watched: head and body, or that it was too much', async () => {
    const seen: SeenAnswer[] = [];
    const room = { leftBytes: 1000 };
    const { node } = await behindRaw(
      (socket, head) =>
        void socket.write(answerText('200 OK', ['ETag: "7"'], head.includes('long') ? 'too much' : 'all')),
      { stands: watching(room, seen) },
    );
    await call(`${node.url}/api/updates`);
    await call(`${node.url}/api/updates?long`);
    // Not a poll.
    await call(`${node.url}/api/other`);
    await until(() => seen.length, 'both seen', 2);
    expect(seen.map(({ body, isWhole }) => [String(body), isWhole])).toEqual([
      ['all', true],
      ['undefined', false],
    ]);
    expect(seen[0]).toMatchObject({ status: 200, headers: { etag: '"7"' } });
  });
  it('is watched within one room for all: what finds none there is not whole, and no later one suffers', async () => {
    const seen: SeenAnswer[] = [];
    const room = { leftBytes: 6 };
    let finish = (): void => undefined;
    const { node } = await behindRaw(
      (socket, head) => {
        const isSlow = head.includes('slow');
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${isSlow ? 'slo' : 'fast'}`);
        if (isSlow) finish = () => void socket.write('w');
      },
      { stands: watching(room, seen) },
    );
    const slow = await openRaw(node.url, 'GET /api/updates?slow HTTP/1.1\r\nHost: old\r\n\r\n');
    await until(() => slow.said().endsWith('slo'), 'half of it');
    await call(`${node.url}/api/updates`);
    finish();
    await until(() => slow.said().endsWith('slow'), 'all of it');
    slow.socket.destroy();
    await call(`${node.url}/api/updates`);
    expect(seen.map(({ body, isWhole }) => [String(body), isWhole])).toEqual([
      ['undefined', false],
      ['slow', true],
      ['fast', true],
    ]);
  });
});
