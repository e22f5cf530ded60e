/** Hostile connections of each kind, for a few seconds: the long form has more of them, for longer. */
import { expect, it } from 'vitest';
import { attacks, type AttackName } from '../support/siege.ts';
import { runSiege } from '../support/siege-run.ts';

it('security: a siege leaves the memory of a node bounded, and honest clients miss nothing', async () => {
  const all = Object.keys(attacks) as AttackName[];
  const report = await runSiege({ rounds: [all], hostile: 30, honest: 20, ms: 3000 });
  expect(report.faults).toEqual([]);
  expect(report.published).toBeGreaterThan(10);
  expect(report.heldAfter).toBe(0);
  expect(Math.max(...Object.values(report.growth))).toBeLessThan(96 * 1024 * 1024);
});
