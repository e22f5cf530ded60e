/**
 * The heart: whoever is connected is moved either way while events flow, nodes fall and connections break, and receives
 * what was published to its services: all of it, in order, once.
 */
import { expect, it } from 'vitest';
import { Heart } from '../support/heart.ts';
import { pulse, runOnTwoNodes } from '../support/heart-run.ts';
import { Phoenix, Storm } from '../support/heart-storm.ts';
import { testRandom } from '../support/random.ts';
import { startProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

it('gives every client of two nodes what was published, in order and once, through moves, cuts and restarts [P1 P2 P3 P4]', async () => {
  const { incomplete, resets, isLogWhole, counts, storm } = await runOnTwoNodes(12_000);
  expect(incomplete).toEqual([]);
  expect(resets).toEqual([]);
  expect(isLogWhole).toBe(true);
  expect(counts.movesUp).toBeGreaterThan(0);
  expect(counts.movesDown).toBeGreaterThan(0);
  expect(storm.cuts).toBeGreaterThan(0);
  expect(storm.tails).toBeGreaterThan(0);
  expect(storm.SIGTERM + storm.SIGKILL).toBeGreaterThan(0);
}, 180_000);

it('does so on one node with the embedded log, and a restart there tells every reader to start over', async () => {
  const random = testRandom('heart embedded');
  const node = await Phoenix.start();
  const proxy = await startProxy(node.url);
  const heart = new Heart(proxy.url, random);
  try {
    await heart.join(200, 50);
    const storm = new Storm({ nodes: [node], proxy, random, forMs: 5000, restarts: false });
    const { incomplete, resets, isLogWhole } = await pulse(heart, storm);
    expect(incomplete).toEqual([]);
    expect(resets).toEqual([]);
    expect(isLogWhole).toBe(true);

    await node.restart('SIGKILL');
    const isTold = (): boolean => heart.members.every((member) => member.resets.length > 0);
    await until(isTold, () => `everybody to be told:\n${heart.describe()}`);
    expect(new Set(heart.members.map((member) => member.resets.join()))).toEqual(new Set(['epoch']));
  } finally {
    await heart.stop();
    await proxy.close();
    await node.kill();
  }
}, 180_000);
