/** What an old backend, or its profile, may do to a node: each ends in a clear error or a cut connection, and nothing stays behind. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import type { PassthroughBounds } from '../../src/legacy/proxy/connections.ts';
import { call, type ErrorAnswer } from '../support/http-client.ts';
import { type LegacyNode, openLegacyNode, plainProfile } from '../support/legacy-node.ts';
import { startGateway } from '../support/node-process.ts';
import { openRaw } from '../support/raw-socket.ts';
import { answerText, RawUpstream, type Say } from '../support/raw-upstream.ts';
import { freePort } from '../support/ports.ts';
import { until, within } from '../support/until.ts';

const bigBytes = 20 * 1024 * 1024;
const opened: { node: LegacyNode; upstream: RawUpstream }[] = [];

/** Nothing leaks: no request is open, and the backend is left with kept connections that hold nothing. */
afterEach(async () => {
  for (const { node, upstream } of opened.splice(0)) {
    await until(() => node.passthrough.open, 'nothing open', 0);
    await node.close();
    await until(() => upstream.sockets.size, 'no connection to the backend', 0);
    upstream.close();
  }
});

async function behind(say: Say, bounds: Partial<PassthroughBounds> = {}) {
  const upstream = await RawUpstream.open(say);
  const node = await openLegacyNode(plainProfile(upstream.url), { bounds });
  opened.push({ node, upstream });
  return { node, upstream, url: `${node.url}/api/updates?since=1` };
}

const get = (path = '/api/updates'): string => `GET ${path} HTTP/1.1\r\nHost: old\r\n\r\n`;

/** Asks, and gives what the node said in the backend's place. */
async function refusal(url: string, method?: string) {
  const asked = method === undefined ? {} : { method, body: { a: 1 } };
  const { status, body, text } = await within(call<ErrorAnswer>(url, asked), 'an answer');
  return { status, code: body.error.code, text };
}

const unreachable = { status: 502, code: 'upstream_unreachable' };

describe('a backend that cannot be asked', () => {
  it('is told as 502 with a reason, and without its address', async () => {
    const port = await freePort();
    const node = await openLegacyNode(plainProfile(`http://127.0.0.1:${port}`));
    onTestFinished(() => node.close());
    for (const method of [undefined, 'POST']) {
      const told = await refusal(`${node.url}/api/updates`, method);
      expect(told).toMatchObject(unreachable);
      expect(told.text).not.toMatch(new RegExp(`${port}|127\\.0\\.0\\.1`));
    }
    expect(node.passthrough.open).toBe(0);
    expect(await node.metrics()).toContain(
      'legacy_requests_total{profile="plain",route="/api/updates",answered_by="upstream",status="refused"} 2',
    );
  });

  it('is asked again once where a kept connection was closed under the request', async () => {
    const { upstream, url } = await behind((socket) => {
      // Its second request on one connection finds it closed.
      if (upstream.asked.length === 2) socket.destroy();
      else socket.write(answerText('200 OK', [], 'fine'));
    });
    expect((await call(url)).text).toBe('fine');
    expect((await call(url)).text).toBe('fine');
    expect(upstream.asked.length).toBe(3);
  });

  it('is never asked twice with what changes something', async () => {
    const { upstream, url } = await behind((socket) => socket.destroy());
    expect(await refusal(url, 'POST')).toMatchObject(unreachable);
    expect(upstream.asked.length).toBe(1);
  });

  it('has its connections bounded: the next waits a little, then is told to come back', async () => {
    const { node, upstream, url } = await behind(() => undefined, {
      connections: 2,
      maxQueued: 1,
      queueMs: 300,
    });
    const held = await Promise.all([openRaw(node.url, get()), openRaw(node.url, get())]);
    await until(() => upstream.asked.length, 'both held', 2);
    const waiting = refusal(url);
    await until(() => node.passthrough.open, 'one queued', 3);
    const answer = await call<ErrorAnswer>(url);
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(await waiting).toMatchObject({ status: 503, code: 'overloaded' });
    expect(upstream.asked.length).toBe(2);
    for (const { socket } of held) socket.destroy();
    // Their places are free again.
    await until(() => node.passthrough.open, 'nothing open', 0);
    await until(() => upstream.sockets.size, 'clients that leave take their requests with them', 0);
  });
});

describe('a backend that lies about its length', () => {
  it('and hangs up early: the client is cut off, and never told an end', async () => {
    const { url } = await behind((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly so much'),
    );
    await expect(within(call(url), 'a cut')).rejects.toThrow(/aborted|hang up/);
  });

  it('and hangs up inside a chunk: the same', async () => {
    const { node } = await behind((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf a chunk'),
    );
    const client = await openRaw(node.url, get());
    await until(() => client.isClosed(), 'a cut');
    expect(client.said()).toContain('half a chunk');
    expect(client.said()).not.toContain('\r\n0\r\n');
  });

  it('and falls silent: the client is cut off, not left hanging', async () => {
    const { url } = await behind(
      (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly so much'),
      { silenceMs: 300 },
    );
    await expect(within(call(url), 'a cut')).rejects.toThrow(/aborted|hang up/);
  });

  it('and sends more: the client is given as much as was said, the next asker nothing of it', async () => {
    const { upstream, url } = await behind((socket) => {
      if (upstream.asked.length > 1) return void socket.write(answerText('200 OK', [], 'mine'));
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfourHTTP/1.1 200 OK\r\n\r\nsomebody else');
    });
    expect((await call(url)).text).toBe('four');
    expect((await call(url)).text).toBe('mine');
  });
});

describe('a backend whose answer is no answer', () => {
  it.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfour'],
    [
      'a length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('%s: 502', async (_, text) => {
    const { url } = await behind((socket) => void socket.write(text));
    expect(await refusal(url)).toMatchObject(unreachable);
  });

  it('headers without end: 502, and its connection is closed', async () => {
    const { upstream, url } = await behind((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const more = (): void => {
        if (!socket.destroyed) socket.write(`X-More: ${'x'.repeat(4000)}\r\n`, () => setImmediate(more));
      };
      more();
    });
    const told = await refusal(url);
    expect(told).toMatchObject(unreachable);
    expect(told.text).toContain('headers');
    await until(() => upstream.sockets.size, 'the connection closed', 0);
  });

  it('a header a byte at a time: 504 when the time is up, however busy it looks', async () => {
    const { upstream, url } = await behind(
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nX-Slow: ');
        const drip = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(drip));
      },
      { silenceMs: 300 },
    );
    expect(await refusal(url)).toMatchObject({ status: 504, code: 'upstream_timeout' });
    await until(() => upstream.sockets.size, 'the connection closed', 0);
  });

  it('a redirect to itself is the client’s to follow: asked once, passed on as it is', async () => {
    const { upstream, url } = await behind(
      (socket) => void socket.write(answerText('302 Found', ['Location: /api/updates'])),
    );
    const answer = await call(url);
    expect([answer.status, answer.headers.location]).toEqual([302, '/api/updates']);
    expect(upstream.asked.length).toBe(1);
  });
});

describe('20 MB answers', () => {
  const big = Buffer.alloc(bigBytes, 'turnout ');

  const sayBig: Say = (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bigBytes}\r\n\r\n`);
    socket.write(big);
  };

  it('arrive whole, byte for byte', async () => {
    const { url } = await behind(sayBig);
    const hash = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
    expect(hash((await call(url)).text)).toBe(hash(big));
  });

  it('for a client that stops reading end when its time is up, and set the backend free', async () => {
    const { node, upstream } = await behind(sayBig, { silenceMs: 300 });
    const client = connect(Number(new URL(node.url).port), '127.0.0.1');
    onTestFinished(() => void client.destroy());
    client.pause();
    client.write(get());
    await until(() => node.passthrough.open, 'the answer to be on its way', 1);
    await until(() => node.passthrough.open, 'the client to be given up', 0);
    await until(() => upstream.sockets.size, 'the backend to be free', 0);
    expect(client.bytesRead).toBeLessThan(bigBytes);
  });

  it('for clients that do not read hold the backend back, not memory', async () => {
    const upstream = await RawUpstream.open(sayBig);
    onTestFinished(() => upstream.close());
    const folder = mkdtempSync(join(tmpdir(), 'turnout-hostile-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'plain.json');
    writeFileSync(file, JSON.stringify(plainProfile(upstream.url)));
    const gateway = await startGateway({ TURNOUT_PROFILES: file });
    onTestFinished(() => gateway.kill());
    await call(`${gateway.url}/api/updates`);
    const beforeBytes = gateway.residentBytes();
    const clients: Socket[] = [];
    for (let i = 0; i < 20; i += 1) {
      const client = connect(Number(new URL(gateway.url).port), '127.0.0.1');
      client.pause();
      client.write(get());
      clients.push(client);
    }
    await until(() => upstream.asked.length, 'all asked', 21);
    // 400 MB are on their way. All that fits between has been taken when the backend's kernel takes no more.
    const left = (): number => [...upstream.sockets].reduce((sum, socket) => sum + socket.writableLength, 0);
    let last = -1;
    await until(async () => {
      const now = left();
      const isStill = now === last;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return isStill;
    }, 'the backend held back');
    expect(left()).toBeGreaterThan(20 * bigBytes * 0.4);
    expect(gateway.residentBytes() - beforeBytes).toBeLessThan(100 * 1024 * 1024);
    for (const client of clients) client.destroy();
    await until(
      async () => (await call(`${gateway.url}/metrics`)).text.includes('legacy_requests_open 0'),
      'nothing open',
    );
    // Those who left have let the backend go; the one kept connection has nothing to say.
    await until(() => left(), 'nothing more to send', 0);
  });
});

it('a bad profile ends the start: file, path and cure are named, none of its secrets', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-hostile-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'bad.yaml');
  const { request, response } = plainProfile('http://127.0.0.1:1');
  const idle = { status: 's3cret' };
  const match = { path: '/api/updates' };
  const bad = { name: 'bad', match, upstrem: 's3cret', request, response: { ...response, idle } };
  writeFileSync(file, JSON.stringify(bad));
  const said = await startGateway({ TURNOUT_PROFILES: file }).then(
    () => 'it started',
    (refused: Error) => refused.message,
  );
  expect(said).toMatch(/^the gateway ended with 1:/);
  expect(said).toContain('bad.yaml:1 response.idle.status: a number is needed, not a text');
  expect(said).toContain('bad.yaml:1 upstrem: there is no such field; did you mean upstream?');
  expect(said).not.toContain('s3cret');
});
