/** Moments at which sessions move: after any time in which nobody waited, after a clock that was set, and for a crowd at once. */
import { expect, it, vi } from 'vitest';
import { Sessions } from '../../src/hub/sessions.ts';
import type { Decision } from '../../src/rollout/decide/decide.ts';
import { Mover } from '../../src/rollout/moves/mover.ts';
import { Schedule } from '../../src/rollout/moves/schedule.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { inTurns } from '../../src/transports/turns.ts';
import { systemClock } from '../../src/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';
import { session } from '../unit/rollout/support.ts';

const hourMs = 3_600_000;
const began = Date.UTC(2026, 0, 1);

/** How often a map is asked for a key while `run` goes on: a walk through slots asks for each. */
function looksOf(run: () => void): number {
  const looks = vi.spyOn(Map.prototype, 'get');
  try {
    run();
    return looks.mock.calls.length;
  } finally {
    looks.mockRestore();
  }
}

it('the first session after a long time of none is not made to wait for the slots of that time', () => {
  const schedule = new Schedule(began);
  const looks = looksOf(() => expect(schedule.take(began + hourMs)).toBeUndefined());
  expect(looks).toBeLessThan(100);
  const late = session('late', 'websocket');
  schedule.wait(late, began + hourMs + 40);
  expect(schedule.take(began + hourMs + 20)).toBeUndefined();
  expect(schedule.take(began + hourMs + 40)).toBe(late);
});

it('a clock that is set on takes out who waited, in order, without a walk through the time between', () => {
  const schedule = new Schedule(began);
  const [last, first] = [session('last', 'websocket'), session('first', 'long-poll')];
  schedule.wait(last, began + hourMs / 2);
  schedule.wait(first, began + 40);
  const taken: unknown[] = [];
  const looks = looksOf(() => {
    for (let one = schedule.take(began + hourMs); one !== undefined; one = schedule.take(began + hourMs))
      taken.push(one);
  });
  expect(taken).toEqual([first, last]);
  expect(looks).toBeLessThan(100);
  expect(schedule.hasWaiting).toBe(false);
});

it('150,000 sessions that fall due in one moment all move', () => {
  const size = 150_000;
  const clock = new FakeClock();
  const sessions = new Sessions();
  const dueMs = clock.now() + 500;
  const down: Decision = {
    transport: 'long-poll',
    cohort: 'control',
    reason: 'percent',
    assignment: 2,
    bucket: 0,
  };
  const decider = { decide: () => down, assignment: 2, isKilled: false };
  const dueTimes = { nowMs: () => clock.now(), dueAtMs: () => dueMs };
  const stay = { killWindowMs: 1000, moveWithinMs: 1000 };
  const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const mover = new Mover({
    sessions,
    decider: decider as never,
    dueTimes: dueTimes as never,
    clock,
    logger,
    stay,
  });
  let told = 0;
  const stream = session('any', 'websocket');
  for (let at = 0; at < size; at += 1)
    sessions.add({ ...stream, connection: `c${at}`, migrate: () => (told += 1) });
  clock.advance(400);
  expect(mover.progress()).toMatchObject([{ from: 'websocket', left: size, endsAtMs: dueMs + 1000 }]);
  expect(told).toBe(0);
  clock.advance(200);
  expect(told).toBe(size);
  mover.close();
});

/** The most calls of what it returns that come before the event loop turns. */
function countInTurn(): {
  readonly call: () => void;
  readonly most: () => number;
  readonly all: () => number;
} {
  let [inTurn, most, all] = [0, 0, 0];
  const call = (): void => {
    if (inTurn === 0)
      setImmediate(() => {
        inTurn = 0;
      });
    inTurn += 1;
    all += 1;
    most = Math.max(most, inTurn);
  };
  return { call, most: () => most, all: () => all };
}

const crowd = 10_000;
const bound = 2000;

it('a crowd whose deadlines end in one moment is let go in pieces, and all of it', async () => {
  const wheel = new Wheel(systemClock);
  const { call, most, all } = countInTurn();
  for (let at = 0; at < crowd; at += 1) wheel.after(60, () => call());
  const calledOff = wheel.after(60, () => call());
  calledOff();
  await until(all, 'all deadlines are met', crowd);
  wheel.close();
  expect(most()).toBeLessThanOrEqual(bound);
});

it('a drain that has no time left tells a crowd in pieces, and all of it', async () => {
  const { call, most, all } = countInTurn();
  await inTurns(Array.from({ length: crowd }), 0, systemClock, call, () => false);
  expect(all()).toBe(crowd);
  expect(most()).toBeLessThanOrEqual(bound);
});

it('a deadline is met though one of thousands before it plans another', () => {
  const clock = new FakeClock();
  const wheel = new Wheel(clock);
  let met = 0;
  for (let at = 0; at < crowd; at += 1) wheel.after(50, () => wheel.after(50, () => (met += 1)));
  clock.advance(1000);
  wheel.close();
  expect(met).toBe(crowd);
});
