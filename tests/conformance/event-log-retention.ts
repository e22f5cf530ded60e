/** What a log keeps of an org by count and by bytes, to the entry, and what a cursor is told of what it dropped. */
import { describe, expect, it } from 'vitest';
import type { EventLog } from '../../src/log/event-log.ts';
import type { Position } from '../../src/log/cursor.ts';
import { retainedBytes } from '../../src/log/entry.ts';
import {
  event,
  eventRun,
  fromCursor,
  fromLastSeq,
  type LogHarness,
  page,
  resetReason,
  seqRun,
  seqsOf,
} from './event-log-harness.ts';

const kept = async (log: EventLog) => (await page(log, 'acme', { at: 'earliest' })).entries;
const keptSeqs = async (log: EventLog) => seqsOf(await kept(log));

export function retentionPromises(harness: () => LogHarness): void {
  describe('retention', () => {
    it('keeps the newest by count, in a batch larger than that too', async () => {
      const log = await harness().bounded({ retentionEvents: 5 });
      for (const n of seqRun(1, 30)) {
        await log.append('acme', 'api', eventRun(n, n));
        expect(await keptSeqs(log)).toEqual(seqRun(Math.max(1, n - 4), n));
      }
      await log.append('acme', 'api', eventRun(31, 60));
      expect(await keptSeqs(log)).toEqual(seqRun(56, 60));
    });

    it('keeps the newest by bytes of JSON and recipients, to the entry, and one at least', async () => {
      const retentionBytes = 4000;
      const log = await harness().bounded({ retentionBytes });
      const sizes: number[] = [];
      for (const n of seqRun(1, 120)) {
        const to = n % 3 === 0 ? { to: Array.from({ length: n % 40 }, (_, user) => `user-${user}-ž`) } : {};
        const payload = { text: 'ž🐎"\n'.repeat((n * 7) % 60) };
        await log.append('acme', 'api', [event(`e${n}`, { payload, ...(n % 40 > 0 ? to : {}) })]);
        const entries = await kept(log);
        const newest = entries.at(-1);
        sizes.push(newest === undefined ? 0 : retainedBytes(newest));
        // What would have fitted: the longest run of newest entries inside the bound, one at least.
        let fits = 1;
        let bytes = sizes.at(-1) ?? 0;
        while (fits < n && bytes + (sizes.at(-1 - fits) ?? 0) <= retentionBytes) {
          bytes += sizes.at(-1 - fits) ?? 0;
          fits += 1;
        }
        expect(seqsOf(entries)).toEqual(seqRun(n - fits + 1, n));
      }
      await log.append('acme', 'api', [event('large', { payload: 'x'.repeat(10_000) })]);
      expect(await keptSeqs(log)).toEqual([121]);
      await log.append('acme', 'api', eventRun(200, 203));
      expect(await keptSeqs(log)).toEqual([122, 123, 124, 125]);
    });

    it('says expired to cursors of what bytes have dropped, and serves the one just before the first kept', async () => {
      const log = await harness().bounded({ retentionBytes: 3000 });
      const places: Position[] = [];
      for (const n of seqRun(1, 12)) {
        await log.append('acme', 'api', [event(`e${n}`, { payload: 'x'.repeat(600) })]);
        places.push((await page(log, 'acme', { at: 'head' })).head);
      }
      const first = (await keptSeqs(log))[0] ?? 0;
      expect(first).toBeGreaterThan(6);
      for (const place of places.slice(0, first - 2))
        expect(await resetReason(log, 'acme', fromCursor(place))).toBe('expired');
      expect(await resetReason(log, 'acme', fromLastSeq(1))).toBe('expired');
      for (const place of places.slice(first - 2))
        expect(seqsOf((await page(log, 'acme', fromCursor(place))).entries)).toEqual(
          seqRun(place.seq + 1, 12),
        );
    });
  });
}
