/** What a start that no longer holds is told, and why: expired, epoch, fork, ahead. Never a silent loss. */
import { describe, expect, it } from 'vitest';
import type { Position } from '../../src/log/cursor.ts';
import {
  after,
  event,
  eventRun,
  fromCursor,
  fromLastSeq,
  type LogHarness,
  page,
  resetReason,
  seqsOf,
} from './event-log-harness.ts';

/** The cursors after each of the entries kept, the one before them first. */
async function cursors(log: LogHarness['log'], org: string): Promise<Position[]> {
  const { from, entries } = await page(log, org, { at: 'earliest' });
  return [from, ...entries.map((entry) => after(from, [entry]))];
}

export function resumePromises(harness: () => LogHarness): void {
  describe('resume', () => {
    it('says expired to a cursor whose next entry retention dropped', async () => {
      const { log, advance, trim } = harness();
      await log.append('acme', 'api', eventRun(1, 5));
      const old = await cursors(log, 'acme');
      await advance(5);
      await log.append('acme', 'api', eventRun(6, 8));
      await trim('acme', 6);
      for (const position of old.slice(0, 5))
        expect(await resetReason(log, 'acme', fromCursor(position))).toBe('expired');
    });

    it('serves the cursor just before the first kept entry, and checks its tag', async () => {
      const { log, advance, trim } = harness();
      await log.append('acme', 'api', eventRun(1, 5));
      const { head: before } = await page(log, 'acme', { at: 'head' });
      await advance(5);
      await log.append('acme', 'api', eventRun(6, 8));
      await trim('acme', 6);
      expect(seqsOf((await page(log, 'acme', fromCursor(before))).entries)).toEqual([6, 7, 8]);
      expect(await resetReason(log, 'acme', fromCursor({ ...before, tag: 'forked00' }))).toBe('fork');
    });

    it('says fork to a cursor with another tag than stands at its place', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 5));
      const [, ...places] = await cursors(log, 'acme');
      for (const place of places)
        expect(await resetReason(log, 'acme', fromCursor({ ...place, tag: 'forked00' }))).toBe('fork');
    });

    it('says fork where history was written again, and goes on where it was not', async () => {
      const made = harness();
      await made.log.append('acme', 'api', eventRun(1, 6));
      const old = await cursors(made.log, 'acme');
      await made.fork('acme', 4);
      const { log } = made;
      const now = await page(log, 'acme', { at: 'earliest' });
      expect(now.head).toMatchObject({ epoch: old[0]?.epoch, seq: 6 });
      for (const position of old.slice(0, 5))
        expect(await page(log, 'acme', fromCursor(position))).toMatchObject({
          entries: now.entries.slice(position.seq),
        });
      for (const position of old.slice(5))
        expect(await resetReason(log, 'acme', fromCursor(position))).toBe('fork');
    });

    it('says ahead to a seq that it never gave', async () => {
      const { log } = harness();
      const { epoch } = await log.append('acme', 'api', eventRun(1, 3));
      const { head } = await page(log, 'acme', { at: 'head' });
      expect(await resetReason(log, 'acme', fromCursor({ ...head, seq: 4 }))).toBe('ahead');
      expect(await resetReason(log, 'acme', fromLastSeq(4))).toBe('ahead');
      expect(await resetReason(log, 'acme', fromLastSeq(4, epoch))).toBe('ahead');
      expect(await resetReason(log, 'acme', fromLastSeq(Number.MAX_SAFE_INTEGER))).toBe('ahead');
      expect(await resetReason(log, 'nobody', fromLastSeq(1))).toBe('ahead');
    });

    it('says epoch to a cursor of another org', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 3));
      await log.append('umbrella', 'api', eventRun(1, 3));
      for (const position of await cursors(log, 'acme'))
        expect(await resetReason(log, 'umbrella', fromCursor(position))).toBe('epoch');
    });

    it('begins a new epoch when its data was lost, and tells every old cursor so', async () => {
      const made = harness();
      const { epoch } = await made.log.append('acme', 'api', eventRun(1, 5));
      const old = await cursors(made.log, 'acme');
      await made.loseEverything();
      const { log } = made;
      for (const position of old) expect(await resetReason(log, 'acme', fromCursor(position))).toBe('epoch');
      const anew = await log.append('acme', 'api', eventRun(1, 2));
      expect(anew.results).toEqual([
        { seq: 1, id: 'e1' },
        { seq: 2, id: 'e2' },
      ]);
      expect(anew.epoch).not.toBe(epoch);
      // The old epoch decides even where seq and place would fit.
      for (const position of old) expect(await resetReason(log, 'acme', fromCursor(position))).toBe('epoch');
      expect(await resetReason(log, 'acme', fromLastSeq(1, epoch))).toBe('epoch');
      expect(seqsOf((await page(log, 'acme', fromLastSeq(1))).entries)).toEqual([2]);
    });

    it('serves `lastSeq` 0 from seq 1 while that is kept, and says expired from then on', async () => {
      const { log, advance, trim } = harness();
      const { epoch } = await log.append('acme', 'api', [event('e1')]);
      await advance(5);
      await log.append('acme', 'api', [event('e2')]);
      expect(seqsOf((await page(log, 'acme', fromLastSeq(0, epoch))).entries)).toEqual([1, 2]);
      await trim('acme', 2);
      expect(await resetReason(log, 'acme', fromLastSeq(0))).toBe('expired');
      expect(await resetReason(log, 'acme', fromLastSeq(0, epoch))).toBe('expired');
      expect(seqsOf((await page(log, 'acme', fromLastSeq(1))).entries)).toEqual([2]);
    });

    it('does not take a cursor of the first place for good after retention', async () => {
      const { log, trim } = harness();
      const { head: first } = await page(log, 'acme', { at: 'head' });
      await log.append('acme', 'api', eventRun(1, 3));
      await trim('acme', 4);
      expect(await resetReason(log, 'acme', fromCursor(first))).toBe('expired');
    });
  });
}
