/** What a read promises: where each start begins, what a page holds, what an empty org and an emptied stream answer. */
import { describe, expect, it } from 'vitest';
import {
  after,
  bodyOf,
  event,
  eventRun,
  fromCursor,
  fromLastSeq,
  type LogHarness,
  page,
  resetReason,
  roomy,
  seqRun,
  seqsOf,
} from './event-log-harness.ts';

export function readPromises(harness: () => LogHarness): void {
  describe('read', () => {
    it('gives an org nobody appended to an epoch, which its first append keeps', async () => {
      const { log } = harness();
      const { from, entries, head } = await page(log, 'acme', { at: 'head' });
      expect(head).toEqual({ epoch: head.epoch, seq: 0, ms: 0, tag: '' });
      expect(head.epoch).toMatch(/^[A-Za-z0-9_-]{12,32}$/);
      expect({ from, entries }).toEqual({ from: head, entries: [] });
      for (const start of [
        { at: 'earliest' } as const,
        fromLastSeq(0),
        fromLastSeq(0, head.epoch),
        fromCursor(head),
      ])
        expect(await page(log, 'acme', start)).toMatchObject({ from: head, entries: [], head });

      expect((await log.append('acme', 'api', [event('e1')])).epoch).toBe(head.epoch);
      expect(seqsOf((await page(log, 'acme', fromCursor(head))).entries)).toEqual([1]);
    });

    it('reads everything from `earliest` and nothing from `head`', async () => {
      const { log } = harness();
      const { epoch } = await log.append('acme', 'api', eventRun(1, 10));
      const all = await page(log, 'acme', { at: 'earliest' });
      expect(all.from).toEqual({ epoch, seq: 0, ms: 0, tag: '' });
      expect(seqsOf(all.entries)).toEqual(seqRun(1, 10));
      expect(all.head).toEqual(after(all.from, all.entries));
      const none = await page(log, 'acme', { at: 'head' });
      expect(none).toEqual({ kind: 'page', from: all.head, entries: [], head: all.head });
    });

    it('reads exactly what follows each cursor and each `lastSeq`', async () => {
      const { log } = harness();
      const { epoch } = await log.append('acme', 'api', eventRun(1, 10));
      const all = await page(log, 'acme', { at: 'earliest' });
      for (const seq of seqRun(0, 10)) {
        const from = after(all.from, all.entries.slice(0, seq));
        const expected = { kind: 'page', from, entries: all.entries.slice(seq), head: all.head };
        for (const start of [fromCursor(from), fromLastSeq(seq), fromLastSeq(seq, epoch)])
          expect(await page(log, 'acme', start)).toEqual(expected);
      }
    });

    it('cuts a page at `maxEvents`, and pages join without hole or repeat', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 100));
      let { from } = await page(log, 'acme', { at: 'earliest' });
      const seen: number[] = [];
      for (;;) {
        const next = await page(log, 'acme', fromCursor(from), { ...roomy, maxEvents: 7 });
        expect(next.from).toEqual(from);
        expect(next.head.seq).toBe(100);
        if (next.entries.length === 0) break;
        expect(next.entries.length).toBe(Math.min(7, 100 - from.seq));
        seen.push(...seqsOf(next.entries));
        from = after(from, next.entries);
      }
      expect(seen).toEqual(seqRun(1, 100));
    });

    it('cuts a page before `maxBytes` is passed, but answers one entry at least', async () => {
      const { log } = harness();
      const large = { payload: 'x'.repeat(10_000) };
      await log.append('acme', 'api', [event('e1'), event('e2', large), event('e3')]);
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      const [one = 0, two = 0, three = 0] = entries.map(({ json }) => json.length);
      const seqsWithin = async (start: number, maxBytes: number) =>
        seqsOf((await page(log, 'acme', fromLastSeq(start), { ...roomy, maxBytes })).entries);
      expect(await seqsWithin(0, one + two + three)).toEqual([1, 2, 3]);
      expect(await seqsWithin(0, one + two)).toEqual([1, 2]);
      expect(await seqsWithin(0, one + two - 1)).toEqual([1]);
      expect(await seqsWithin(1, 1)).toEqual([2]);
    });

    it('answers UTF-8 as it was given', async () => {
      const { log } = harness();
      const payload = { text: 'žluťoučký 🐎 \u0000 "quoted" \\ \u2028', lone: '\ud800' };
      await log.append('acme', 'api', [event('e1', { payload })]);
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      expect(bodyOf(entries[0]!)['payload']).toEqual(payload);
    });

    it('starts at the first kept entry once retention dropped the others', async () => {
      const { log, advance, trim } = harness();
      await log.append('acme', 'api', eventRun(1, 5));
      const old = await page(log, 'acme', { at: 'earliest' });
      await advance(5);
      await log.append('acme', 'api', eventRun(6, 8));
      await trim('acme', 6);

      const { from, entries, head } = await page(log, 'acme', { at: 'earliest' });
      expect(seqsOf(entries)).toEqual([6, 7, 8]);
      expect(head.seq).toBe(8);
      expect(from).toMatchObject({ epoch: old.head.epoch, seq: 5, tag: old.head.tag });
      expect(seqsOf((await page(log, 'acme', fromCursor(from))).entries)).toEqual([6, 7, 8]);
      expect(seqsOf((await page(log, 'acme', fromLastSeq(5))).entries)).toEqual([6, 7, 8]);
      for (const seq of seqRun(0, 4))
        expect(await resetReason(log, 'acme', fromLastSeq(seq))).toBe('expired');
    });

    it('keeps the head of an emptied stream, and appends after it', async () => {
      const { log, trim } = harness();
      const { epoch } = await log.append('acme', 'api', eventRun(1, 3));
      const { head } = await page(log, 'acme', { at: 'head' });
      await trim('acme', 4);
      const empty = { kind: 'page', from: head, entries: [], head };
      for (const start of [
        { at: 'head' } as const,
        { at: 'earliest' } as const,
        fromCursor(head),
        fromLastSeq(3),
      ])
        expect(await page(log, 'acme', start)).toEqual(empty);
      expect(await resetReason(log, 'acme', fromLastSeq(0))).toBe('expired');
      expect(await resetReason(log, 'acme', fromLastSeq(0, epoch))).toBe('expired');
      expect(await resetReason(log, 'acme', fromCursor({ ...head, tag: 'forked00' }))).toBe('fork');

      expect(await log.append('acme', 'api', [event('e4')])).toEqual({
        epoch,
        results: [{ seq: 4, id: 'e4' }],
      });
      const { entries } = await page(log, 'acme', fromCursor(head));
      expect(entries).toMatchObject([{ seq: 4, prevTag: head.tag }]);
    });

    it('refuses everything with log_unavailable once it is closed', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 1));
      await log.close();
      const gone = { code: 'log_unavailable' };
      await expect(log.append('acme', 'api', eventRun(2, 2))).rejects.toMatchObject(gone);
      await expect(log.read('acme', { at: 'head' }, roomy)).rejects.toMatchObject(gone);
      await expect(log.tail('acme', () => undefined)).rejects.toMatchObject(gone);
      expect(log.health().isUp).toBe(false);
    });
  });
}
