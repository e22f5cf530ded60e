/** 200 hostile connections of each kind, for 20 s each: memory grows by less than 64 MiB, and honest clients miss nothing. */
import { expect, it } from 'vitest';
import { attacks, type AttackName } from '../support/siege.ts';
import { runSiege } from '../support/siege-run.ts';

const mebi = 1024 * 1024;

it('security: 200 hostile connections of each kind cost a node less than 64 MiB', {
  timeout: 600_000,
}, async () => {
  const each = (Object.keys(attacks) as AttackName[]).map((name) => [name]);
  const report = await runSiege({ rounds: each, hostile: 200, honest: 100, ms: 20_000 });
  console.log(
    Object.entries(report.growth)
      .map(([name, bytes]) => `${name}: ${(bytes / mebi).toFixed(1)} MiB`)
      .join('; '),
  );
  expect(report.faults).toEqual([]);
  expect(report.published).toBeGreaterThan(1000);
  expect(report.heldAfter).toBe(0);
  for (const [name, bytes] of Object.entries(report.growth)) expect(bytes, name).toBeLessThan(64 * mebi);
});
