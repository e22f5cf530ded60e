/** What nobody caught: a rejection leaves the node as it is, an exception ends it in order, later, and with 1. */
import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { tellFaults, watchProcess } from '../../src/gateway/faults.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { FakeClock } from '../support/fake-clock.ts';

function watch(drain: () => Promise<void>) {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const lines: string[] = [];
  const logger = { error: (_fields: object, line: string) => void lines.push(line) };
  const onFault = tellFaults(metrics, logger, clock);
  const process: EventEmitter & { exitCode?: unknown } = new EventEmitter();
  const ends: unknown[] = [];
  watchProcess(process, { onFault, drain }, clock, 5000, () => ends.push(process.exitCode));
  return { clock, metrics, lines, process, ends };
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

it('goes on after a rejection that nobody waited for, counts it, and tells it once a second', async () => {
  const { clock, metrics, lines, process, ends } = watch(async () => undefined);
  for (let n = 0; n < 5; n += 1) process.emit('unhandledRejection', new Error('poison'));
  clock.advance(120_000);
  await settle();
  expect(ends).toEqual([]);
  expect(lines).toHaveLength(1);
  expect(await metrics.text()).toContain('turnout_faults_total{where="rejection"} 5');
});

it('drains at its own moment after an exception that nobody caught, then ends with 1', async () => {
  let drains = 0;
  const { clock, metrics, process, ends } = watch(async () => void (drains += 1));
  for (let n = 0; n < 3; n += 1) process.emit('uncaughtException', new Error('poison'));
  clock.advance(29_000);
  expect(drains).toBe(0);
  clock.advance(2000);
  await settle();
  expect(drains).toBe(1);
  expect(ends).toEqual([1]);
  expect(await metrics.text()).toContain('turnout_faults_total{where="process"} 3');
});

it('ends with 1 although its drain hangs', () => {
  const { clock, process, ends } = watch(() => new Promise(() => undefined));
  process.emit('uncaughtException', new Error('poison'));
  clock.advance(46_000);
  expect(ends).toEqual([1]);
});
