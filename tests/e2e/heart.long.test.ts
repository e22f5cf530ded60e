/** The heart for ten minutes, in the full run. */
import { expect, it } from 'vitest';
import { runOnTwoNodes } from '../support/heart-run.ts';

it('gives every client of two nodes what was published, in order and once, for ten minutes', async () => {
  const { incomplete, resets, isLogWhole, counts } = await runOnTwoNodes(600_000);
  expect(incomplete).toEqual([]);
  expect(resets).toEqual([]);
  expect(isLogWhole).toBe(true);
  expect(Math.min(counts.movesUp, counts.movesDown)).toBeGreaterThan(0);
}, 900_000);
