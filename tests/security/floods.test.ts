/** Floods of frames and bombs of compressed ones end their own stream; others beside it miss nothing. */
import { deflateRawSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openServer } from '../../src/http/server.ts';
import { openNode, type OwnNode } from '../support/own-node.ts';
import { Publisher } from '../support/publisher.ts';
import { openConnections } from '../support/http-connections.ts';
import { openRaw, upgradeText } from '../support/raw-socket.ts';
import { openStream, type StreamClient } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

let node: OwnNode;
let token: string;
let bystander: StreamClient;
let publisher: Publisher;
beforeAll(async () => {
  node = await openNode();
  token = await makeToken({ publish: ['chat'] });
  bystander = await openStream(node.url, await makeToken({ sub: 'ben' }), ['chat']);
  publisher = new Publisher(node.url);
});
afterEach(async () => {
  const { length } = bystander.events();
  await publisher.publish({ service: 'chat', payload: 'still served' });
  expect((await bystander.nextEvents(length + 1)).at(-1)?.payload).toBe('still served');
});
afterAll(async () => {
  bystander.destroy();
  await node.drain();
});

const flooding = { code: 1008, reason: 'flooding' };

describe('a flood', () => {
  it.each<[string, (turn: number) => object]>([
    ['subscribes', (turn) => ({ type: 'subscribe', services: [`chat/${turn % 50}`] })],
    ['unsubscribes', () => ({ type: 'unsubscribe', services: ['chat/1'] })],
    ['auths', () => ({ type: 'auth', token })],
    ['auths that are forged', () => ({ type: 'auth', token: `${token.slice(0, -6)}AAAAAA` })],
    ['pongs', () => ({ type: 'pong' })],
    ['nonsense', () => ({ type: 'dance' })],
  ])('of %s ends its stream', async (_what, frame) => {
    const stream = await openStream(node.url, token, ['chat']);
    for (let turn = 0; turn < 3000 && stream.closed === undefined; turn += 1) stream.send(frame(turn));
    expect(await stream.nextClose()).toEqual(flooding);
    expect(stream.frames.length).toBeLessThanOrEqual(1100);
  });

  it('of 5,000 pings of the protocol is answered, or its stream ended', async () => {
    const stream = await openStream(node.url, token, ['chat']);
    let pongs = 0;
    stream.socket.on('pong', () => (pongs += 1));
    for (let turn = 0; turn < 5000; turn += 1) stream.socket.ping('x'.repeat(100));
    await until(() => pongs === 5000 || stream.closed !== undefined, 'the pongs, or the end');
    expect(bystander.closed).toBeUndefined();
    stream.destroy();
  });
});

describe('a bomb', () => {
  /** A masked text frame, its payload deflated. */
  function frameOf(payload: Buffer): Buffer {
    const head = Buffer.alloc(14);
    // FIN, RSV1 (deflated), text; masked with zeros, which changes nothing.
    head.writeUInt8(0b1100_0001, 0);
    head.writeUInt8(0x80 | 127, 1);
    head.writeBigUInt64BE(BigInt(payload.length), 2);
    return Buffer.concat([head, payload]);
  }
  const offer = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' };

  it.each([1, 40])(
    'of %i MiB in one deflated frame is 1009, and is never inflated whole',
    async (mebibytes) => {
      const bomb = deflateRawSync(Buffer.alloc(mebibytes * 1024 * 1024, ' '), { finishFlush: 2 });
      const path = `/v2/realtime/stream?access_token=${token}`;
      const before = process.memoryUsage().rss;
      const raw = await openRaw(node.url, upgradeText(path, offer));
      await until(() => raw.said().includes('\r\n\r\n'), 'the upgrade');
      expect(raw.said()).toContain('permessage-deflate');
      raw.socket.write(frameOf(bomb));
      // 0x88, length, 1009 as two bytes, and the reason.
      await until(() => raw.said().includes('too_large'), 'the close');
      expect(raw.said()).toContain('\x03\xf1too_large');
      raw.socket.destroy();
      expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
    },
  );
});

it('headers that never end are answered 408, or cut, in their time', async () => {
  const server = await openServer({
    fetch: () => new Response('ok'),
    config: readConfig({ TURNOUT_PORT: '0' }),
    clock: systemClock,
    takes: undefined,
    connections: openConnections().connections,
    attach(http) {
      // What a node gives them; the test gives less, so as not to wait for it.
      expect(http.headersTimeout).toBeLessThanOrEqual(15_000);
      expect(http.headersTimeout).toBeGreaterThan(0);
      expect(http.requestTimeout).toBeGreaterThan(0);
      expect(http.requestTimeout).toBeLessThanOrEqual(300_000);
      http.headersTimeout = 100;
    },
  });
  try {
    const raws = await Promise.all(
      Array.from({ length: 20 }, () => openRaw(server.url, 'GET / HTTP/1.1\r\nHost: x\r\nX-A: ')),
    );
    const drip = setInterval(() => {
      for (const { socket } of raws) socket.write('a');
    }, 50);
    for (const { socket } of raws) socket.on('error', () => undefined);
    await until(() => raws.every(({ isClosed }) => isClosed()), 'every slow connection to be closed');
    clearInterval(drip);
    for (const raw of raws) expect(raw.said()).toMatch(/^(HTTP\/1\.1 408 |$)/);
  } finally {
    await server.close();
  }
});
