/** What the wheel keeps: deadlines that stand, and nothing of those that were called off. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Wheel } from '../../src/transports/wheel.ts';
import { FakeClock } from '../support/fake-clock.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

it('keeps nothing of a deadline that was called off, however far away it was', () => {
  const clock = new FakeClock();
  const wheel = new Wheel(clock);
  collect();
  const before = process.memoryUsage().heapUsed;
  // A stream arms its token's expiry, hours away, and is closed a moment later.
  const streams = 100_000;
  for (let stream = 0; stream < streams; stream += 1)
    wheel.after(3_600_000 + stream * 1000, () => undefined)();
  collect();
  const keptPerStream = (process.memoryUsage().heapUsed - before) / streams;
  wheel.close();
  expect(keptPerStream).toBeLessThan(16);
});

it('runs what a deadline itself plans for now', () => {
  const clock = new FakeClock();
  const wheel = new Wheel(clock);
  let ran = 0;
  wheel.after(100, () => {
    wheel.after(0, () => {
      ran += 1;
    });
  });
  clock.advance(1000);
  wheel.close();
  expect(ran).toBe(1);
});
