/** What counts as a flood: more control frames in any ten seconds than the protocol allows (docs/PROTOCOL.md, 5). */
import type { WebSocket } from 'ws';
import { expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { Inbox } from '../../src/transports/inbox.ts';
import { FakeClock } from '../support/fake-clock.ts';

it('sees a flood that lies across the border of two windows', () => {
  const clock = new FakeClock();
  // The count asks nothing of the socket.
  const inbox = new Inbox(
    { pause: () => undefined } as WebSocket,
    clock,
    { hasRoom: true },
    { set: () => undefined },
    () => undefined,
  );
  const half = limits.controlFramesPerWindow / 2;
  const send = (count: number): boolean => Array.from({ length: count }, () => inbox.isFlood()).some(Boolean);
  clock.advance(60_000);
  expect(send(1)).toBe(false);
  clock.advance(limits.controlWindowMs - 1000);
  expect(send(half + 100)).toBe(false);
  clock.advance(2000);
  // 700 frames in two seconds.
  expect(send(half + 100)).toBe(true);
});
