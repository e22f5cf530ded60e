/** What the benches conclude from must itself be right: frames, memo, answers and figures, against a real server. */
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { deflateRawSync, constants } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { FrameMemo, parseStreamFrame } from '../../loadtest/frame-memo.ts';
import { FrameSocket } from '../../loadtest/frame-socket.ts';
import { HttpWire, httpRequest } from '../../loadtest/http-wire.ts';
import { median, newHistogram, slope } from '../../loadtest/report.ts';
import { startOthers } from '../../loadtest/scenarios/others.ts';
import { Swarm } from '../../loadtest/swarm.ts';
import { until } from '../support/until.ts';
import { WireFetch } from '../../loadtest/wire-fetch.ts';

const eventFrame = (...seqs: number[]): string =>
  JSON.stringify({
    type: 'event',
    service: 'bench',
    events: seqs.map((seq) => ({ seq, payload: { sentMs: 1 } })),
    seq: seqs.at(-1),
  });

const server = createServer((request, response) => {
  if (request.url === '/held') return;
  if (request.url === '/busy') {
    response.writeHead(503, { 'Retry-After': '7' }).end('{}');
    return;
  }
  if (request.url === '/chunked') {
    response.write('{"a":');
    response.end('1}');
    return;
  }
  response.writeHead(request.method === 'POST' ? 201 : 200);
  request.pipe(response);
});
const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  if (request.url === '/refused') socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  else
    sockets.handleUpgrade(request, socket, head, (ws) => {
      if (request.url === '/on-long-poll') ws.close(4410);
      else ws.on('message', () => ws.send('{"type":"ack"}'));
    });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

afterEach(() => {
  for (const ws of sockets.clients) ws.terminate();
});

const openSwarm = (clients: number, path = '/'): Promise<Swarm> =>
  Swarm.open({
    url,
    clients,
    path: () => path,
    hello: ['{}'],
    isWelcome: (text) => text.startsWith('{"type":"ack"'),
    latency: newHistogram(),
  });

describe('the swarm', () => {
  it('counts every delivery of frames of every length', async () => {
    const swarm = await openSwarm(3);
    const frames = [[1], [2, 3], Array.from({ length: 3000 }, (_, index) => index + 4)];
    for (const ws of sockets.clients) for (const seqs of frames) ws.send(eventFrame(...seqs));
    await until(() => swarm.deliveries, 'the deliveries', 3 * 3003);
    expect(swarm.misplaced).toBe(0);
    swarm.close();
  });

  it('sees an event that is missing, one that comes twice, and a close', async () => {
    const swarm = await openSwarm(1);
    for (const ws of sockets.clients) {
      for (const seq of [1, 3, 3]) ws.send(eventFrame(seq));
      ws.close(4410);
    }
    await until(() => swarm.closes.length, 'the close', 1);
    expect([swarm.deliveries, swarm.misplaced, swarm.closes]).toEqual([3, 2, [4410]]);
  });

  it('says what to do where the rollout of the target keeps users on long-poll', async () => {
    await expect(openSwarm(1, '/on-long-poll')).rejects.toThrow(
      /^[^\n]*4410[^\n]*long-poll[^\n]*turnout rollout set 100[^\n]*$/,
    );
  });

  it('says why a server does not upgrade', async () => {
    await expect(FrameSocket.open({ url, path: '/refused', onText: () => undefined })).rejects.toThrow('403');
  });
});

describe('the frame memo', () => {
  it('tells frames of the same length apart, and reads a deflated one', () => {
    const memo = new FrameMemo(parseStreamFrame);
    const deflated = deflateRawSync(eventFrame(7, 8), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(
      0,
      -4,
    );
    const read = [eventFrame(1), eventFrame(2), eventFrame(1)].map((text) =>
      memo.read(Buffer.from(text), false),
    );
    expect(read.map(({ seqs }) => seqs)).toEqual([[1], [2], [1]]);
    expect(memo.read(deflated, true).seqs).toEqual([7, 8]);
  });
});

describe('the HTTP wire', () => {
  it('reads bodies of a known length and in chunks, one after the other', async () => {
    const wire = await HttpWire.open(url);
    const posted = await wire.send(httpRequest('POST', '/', 'token', '{"b":"ä"}'));
    const chunked = await wire.send(httpRequest('GET', '/chunked', 'token'));
    expect([posted.status, posted.body.toString()]).toEqual([201, '{"b":"ä"}']);
    expect([chunked.status, chunked.body.toString()]).toEqual([200, '{"a":1}']);
    wire.close();
  });
});

describe('the fetch of one client', () => {
  it('asks again on the connection that it has, and on a new one where that is gone', async () => {
    let connections = 0;
    const count = (): void => {
      connections += 1;
    };
    server.on('connection', count);
    const { fetch, close } = new WireFetch();
    const post = async (body: string): Promise<unknown> => {
      const answer = await fetch(`${url}/`, { method: 'POST', headers: { authorization: 'Bearer t' }, body });
      return [answer.status, await answer.json()];
    };
    expect([await post('1'), await post('2'), connections]).toEqual([[201, 1], [201, 2], 1]); // biome-ignore format: pairs
    close();
    expect([await post('3'), connections]).toEqual([[201, 3], 2]); // biome-ignore format: pairs
    server.off('connection', count);
    close();
  });

  it('tells what a refusal says besides: when to come back', async () => {
    const { fetch, close } = new WireFetch();
    const refused = await fetch(`${url}/busy`, { headers: { authorization: 'Bearer t' } });
    expect([refused.ok, refused.status, refused.headers.get('retry-after')]).toEqual([false, 503, '7']);
    expect(refused.headers.get('date')).not.toBeNull();
    close();
  });

  it('is given up when its signal says so', async () => {
    const { fetch } = new WireFetch();
    const abort = new AbortController();
    const asked = fetch(`${url}/held`, { headers: { authorization: 'Bearer t' }, signal: abort.signal });
    abort.abort();
    await expect(asked).rejects.toThrow('closed');
  });
});

describe('the figures', () => {
  it('takes the middle of the values, and the mean of the two middle ones', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });

  it('finds how fast a line rises', () => {
    expect(slope([[0, 5], [1, 7], [2, 9]])).toBeCloseTo(2); // biome-ignore format: points
  });
});

describe('those who poll beside the load', () => {
  it('are missed where they ended: nobody waits for what they would have noticed', async () => {
    const plan = { urls: ['http://127.0.0.1:1'], org: 'o', tokens: ['t'], producer: 'p', services: ['s'] };
    await expect(startOthers({ ...plan, ratePerS: 1 })).rejects.toThrow('those who poll anyhow have ended');
  });
});

describe('npm run load', () => {
  const load = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['--import', 'tsx', 'loadtest/load.ts', ...args], { env: {} }).then(
      () => ({ code: 0, said: '' }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        said: stdout + stderr,
      }),
    );

  it.each([
    [['websocket', '--clents', '5'], 2, "Unknown option '--clents'"],
    [['websocket', '--clients=5'], 2, 'write --clients 5'],
    [['websocket', '--clients', 'many'], 1, '--clients takes a number above 0'],
    [['publish', '--target', 'http://127.0.0.1:1'], 1, 'needs TURNOUT_JWT_SECRET'],
  ])('runs nothing for %j, and says why in a line', async (args, code, why) => {
    const ended = await load(...args);
    expect(ended.code).toBe(code);
    expect(ended.said).toContain(why);
    expect(ended.said).not.toContain('    at ');
  });
});
