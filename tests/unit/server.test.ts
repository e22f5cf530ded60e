/** The listening socket at its end: who has sent a request is answered, whenever they connected. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openServer } from '../../src/http/server.ts';
import { openConnections } from '../support/http-connections.ts';

const open = (clock: Clock) =>
  openServer({
    fetch: () => new Response('served'),
    config: readConfig({ TURNOUT_PORT: '0' }),
    clock,
    takes: undefined,
    attach: () => undefined,
    connections: openConnections().connections,
  });

/** Of a connection that is made, and not yet used. */
async function connected(url: string): Promise<{ socket: Socket; ask: () => void; heard: () => string }> {
  const { port, host } = new URL(url);
  const socket = connect(Number(port));
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const ask = (): void => void socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return { socket, ask, heard: () => heard };
}

it('answers the request of a connection that was made right before, and ends it then', async () => {
  // No time passes by itself: the end of the connection is what it waits for.
  const server = await open({ ...systemClock, after: () => () => undefined });
  const { socket, ask, heard } = await connected(server.url);
  const closed = server.close();
  // The request is on its way when the server takes its leave.
  setTimeout(ask, 20);
  await once(socket, 'close');
  expect(heard()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(heard()).toMatch(/\r\nConnection: close\r\n/i);
  await closed;
});

it('answers the next request of a kept connection, though the node stood still for all the time that it has', async () => {
  const server = await open(systemClock);
  const { socket, ask, heard } = await connected(server.url);
  ask();
  // Goes on where sockets are read: its timers are what the node comes to next.
  await once(socket, 'data');
  const closed = server.close();
  ask();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  await once(socket, 'close');
  expect(heard().match(/HTTP\/1\.1 200 OK\r\n/g)).toHaveLength(2);
  await closed;
});
