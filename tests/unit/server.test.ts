/** The listening socket at its end: who has sent a request is answered, whenever they connected. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config.ts';
import { openServer } from '../../src/http/server.ts';

const open = () =>
  openServer({
    fetch: () => new Response('served'),
    config: readConfig({ TURNOUT_PORT: '0' }),
    clock: systemClock,
    takes: undefined,
    attach: () => undefined,
  });

it('answers the request of a connection that was made right before, and ends it then', async () => {
  const server = await open();
  const { port, host } = new URL(server.url);
  const socket = connect(Number(port));
  await once(socket, 'connect');
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  const closed = server.close();
  // The request is on its way when the server takes its leave.
  setTimeout(() => socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 20);
  await once(socket, 'close');
  expect(heard).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(heard).toMatch(/\r\nConnection: close\r\n/i);
  await closed;
});
