/** A socket that was refused: it has a second to read why, and little of what it still says is read. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { cutSoon } from '../../src/transports/turned-away.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

async function refused() {
  const clock = new FakeClock();
  const wheel = new Wheel(clock);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  peer.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    wheel.close();
    peer.destroy();
    server.close();
  });
  cutSoon(socket, wheel);
  return { clock, peer, socket };
}

it('is cut after a second', async () => {
  const { clock, socket } = await refused();
  clock.advance(900);
  expect(socket.destroyed).toBe(false);
  clock.advance(200);
  expect(socket.destroyed).toBe(true);
});

it('is cut at once when it goes on talking', async () => {
  const { peer, socket } = await refused();
  peer.write(Buffer.alloc(60 * 1024));
  await until(() => socket.bytesRead, 'what it may still say', 60 * 1024);
  expect(socket.destroyed).toBe(false);
  peer.write(Buffer.alloc(8 * 1024));
  await until(() => socket.destroyed, 'the cut');
});
