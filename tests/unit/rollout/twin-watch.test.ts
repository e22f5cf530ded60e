import { expect, it } from 'vitest';
import { TwinWatch } from '../../../src/rollout/fleet/twin-watch.ts';
import { FakeClock } from '../../support/fake-clock.ts';

it('tells a living twin from the run before, and once when each begins and ends', () => {
  const clock = new FakeClock();
  const told: boolean[] = [];
  const watch = new TwinWatch(clock, (isThere) => told.push(isThere));
  const reports = (...befores: (string | undefined)[]): void => {
    for (const before of befores) {
      clock.advance(1000);
      watch.reported(before);
    }
  };
  reports('the run before', watch.run, undefined, watch.run);
  expect(told).toEqual([]);
  // Both report each second, in turns that need not alternate.
  reports('a twin', watch.run, watch.run, 'a twin');
  expect([told, watch.isThere]).toEqual([[true], true]);
  reports(...Array.from({ length: 5 }, () => watch.run));
  expect(told).toEqual([true]);
  reports(watch.run);
  expect([told, watch.isThere]).toEqual([[true, false], false]);
});
