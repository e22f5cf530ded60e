/** When a peer is held dead: two rounds of silence, and none of them the node's own (docs/PROTOCOL.md, 8). */
import { expect, it } from 'vitest';
import { Heartbeat } from '../../src/transports/heartbeat.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { FakeClock } from '../support/fake-clock.ts';

const pingMs = 1000;

function beating() {
  const clock = new FakeClock();
  const wheel = new Wheel(clock);
  const peer = { progress: 0, pings: 0, isDead: false };
  const heartbeat = new Heartbeat(
    { wheel, clock, pingMs },
    {
      progress: () => peer.progress,
      ping: () => {
        peer.pings += 1;
      },
      dead: () => {
        peer.isDead = true;
      },
    },
  );
  heartbeat.start();
  return { clock, peer, heartbeat };
}

it('holds a peer dead after two silent rounds, not after one', () => {
  const { clock, peer } = beating();
  clock.advance(pingMs + 100);
  expect(peer).toMatchObject({ isDead: false, pings: 1 });
  clock.advance(pingMs + 100);
  expect(peer).toMatchObject({ isDead: true, pings: 1 });
});

it('begins to count anew with any sign of life', () => {
  const { clock, peer } = beating();
  for (let round = 0; round < 5; round += 1) {
    clock.advance(pingMs * 1.5);
    peer.progress += 1;
  }
  expect(peer.isDead).toBe(false);
});
