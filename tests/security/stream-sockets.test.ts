/** Sockets of streams before anybody knows whose they are, and after they were refused. */
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { upgradeText } from '../support/raw-socket.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, testSecret } from '../support/token-maker.ts';
import { until } from '../support/until.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

const maxConnections = 5;
const first = { services: ['chat'], version: 1 };

let whoami: WhoamiServer;
let gateway: Gateway;
const sockets: Socket[] = [];
beforeAll(async () => {
  whoami = await WhoamiServer.start();
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_AUTH_URL: whoami.url,
    TURNOUT_AUTH_TIMEOUT_MS: '30000',
    TURNOUT_MAX_CONNECTIONS: String(maxConnections),
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
  });
  gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent') });
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await gateway.drain();
  await whoami.close();
});

/** A socket that answers no close, and reads what it is sent. */
function opened(token?: string): Socket {
  const { hostname, port } = new URL(gateway.url);
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const socket = connect(Number(port), hostname, () => {
    socket.write(upgradeText('/v2/realtime/stream', headers));
  });
  socket.on('error', () => undefined);
  socket.resume();
  sockets.push(socket);
  return socket;
}

it('take no place of a user once they are refused, and are cut', async () => {
  const refused = Array.from({ length: 30 }, () => opened());
  const token = await makeToken();
  const told = await Promise.all(
    refused.map((socket) => new Promise((resolve) => socket.once('data', resolve))),
  );
  expect(told).toHaveLength(refused.length);
  const stream = new StreamClient(gateway.url, { token, first });
  await stream.next('ack');
  stream.destroy();
  await until(() => refused.every((socket) => socket.closed), 'all refused sockets to be cut');
});

it('take no place of a user while the auth server is asked about them', async () => {
  whoami.delayMs = 20_000;
  const strangers = Array.from({ length: maxConnections }, (_, index) => opened(`made-up-${index}`));
  await until(() => whoami.asked.length > 0, 'the questions');
  const stream = new StreamClient(gateway.url, { token: await makeToken(), first });
  await stream.next('ack');
  expect(stream.closed).toBeUndefined();
  stream.destroy();
  for (const socket of strangers) socket.destroy();
});

it('are cut when they go on talking after they were refused', async () => {
  const socket = opened();
  await new Promise((resolve) => socket.once('data', resolve));
  let written = 0;
  const talk = (): void => {
    if (socket.destroyed) return;
    written += 1024;
    socket.write(Buffer.alloc(1024), () => setImmediate(talk));
  };
  talk();
  await until(() => socket.destroyed, 'the cut');
  expect(written).toBeGreaterThan(0);
});

it('close a frame that comes in a flood of fragments as flooding', async () => {
  const stream = new StreamClient(gateway.url, { token: await makeToken(), first });
  await stream.next('ack');
  for (let count = 0; count < 100; count += 1) stream.socket.send(' ', { fin: false });
  await until(() => stream.closed !== undefined, 'the close');
  expect(stream.closed).toEqual({ code: 1008, reason: 'flooding' });
});

it('let a frame of a few fragments through', async () => {
  const stream = new StreamClient(gateway.url, { token: await makeToken(), first });
  await stream.next('ack');
  const text = JSON.stringify({ type: 'subscribe', services: ['feed'] });
  for (let index = 0; index < text.length; index += 1)
    stream.socket.send(text[index] ?? '', { fin: index === text.length - 1 });
  await stream.next('ack', 2);
  expect(stream.closed).toBeUndefined();
  stream.destroy();
});
