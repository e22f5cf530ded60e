/** docs/METRICS.md is what the code declares, and nothing is declared that breaks Prometheus's rules for names. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { metricsDocument } from '../support/metrics-document.ts';

it('commits docs/METRICS.md as the metrics are declared', async () => {
  const committed = await readFile(new URL('../../docs/METRICS.md', import.meta.url), 'utf8');
  expect(committed, 'docs/METRICS.md has drifted: run `npm run schema` and commit it').toBe(
    await metricsDocument(),
  );
});

it('names counters with _total, and ours with turnout_, ws_ or legacy_', async () => {
  const rows = [...(await metricsDocument()).matchAll(/^\| `(\w+)` \| (\w+) \|/gm)];
  expect(rows.length).toBeGreaterThan(20);
  for (const [, name = '', type] of rows) {
    expect(name).toMatch(/^(turnout|ws|legacy)_[a-z_]+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
  }
});
