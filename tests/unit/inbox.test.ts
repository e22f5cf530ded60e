/** What counts as a flood: more control frames in any ten seconds than the protocol allows (docs/PROTOCOL.md, 5). */
import type { WebSocket } from 'ws';
import { expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { Inbox } from '../../src/transports/inbox.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

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

it('reads nothing until the client is known, and no more than a frame ahead of what is handled', async () => {
  const held: number[] = [];
  const ws = {
    isPaused: false,
    pause: () => void (ws.isPaused = true),
    resume: () => void (ws.isPaused = false),
  };
  let finish: () => void = () => undefined;
  const slow = (): Promise<void> =>
    new Promise((resolve) => {
      finish = resolve;
    });
  const holder = { set: (_: unknown, bytes: number) => void held.push(bytes) };
  const inbox = new Inbox(ws as unknown as WebSocket, new FakeClock(), { hasRoom: true }, holder, slow);
  expect(ws.isPaused).toBe(true);
  inbox.release();
  expect(ws.isPaused).toBe(false);
  inbox.push('handled');
  inbox.push('x'.repeat(limits.frameBytes));
  expect([ws.isPaused, held.at(-1)]).toEqual([false, limits.frameBytes]);
  inbox.push('x');
  expect([ws.isPaused, held.at(-1)]).toEqual([true, limits.frameBytes + 1]);
  const goOn = (): boolean => {
    finish();
    return ws.isPaused;
  };
  await until(goOn, 'all to be handled', false);
  expect(held.at(-1)).toBe(0);
  inbox.push('handled');
  inbox.push('waits');
  inbox.close();
  expect([ws.isPaused, held.at(-1)]).toEqual([false, 0]);
});
