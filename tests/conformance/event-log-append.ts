/** What an append promises: order, no holes, all or nothing, each id once. */
import { describe, expect, it } from 'vitest';
import { Fenced } from '../../src/log/event-log.ts';
import { bodyOf, event, eventRun, type LogHarness, page, seqRun, seqsOf } from './event-log-harness.ts';

export function appendPromises(harness: () => LogHarness): void {
  describe('append', () => {
    it('keeps events in the order of their batch, with consecutive seqs from 1', async () => {
      const { log } = harness();
      const first = await log.append('acme', 'api', eventRun(1, 3));
      const second = await log.append('acme', 'api', eventRun(4, 5));
      expect([...first.results, ...second.results]).toEqual(
        seqRun(1, 5).map((seq) => ({ seq, id: `e${seq}` })),
      );
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      expect(entries.map((entry) => bodyOf(entry)['id'])).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
      expect(entries.map((entry) => bodyOf(entry)['seq'])).toEqual(seqRun(1, 5));
    });

    it('leaves no hole and gives no seq twice when many append at once', async () => {
      const { log } = harness();
      const answers = await Promise.all(
        seqRun(1, 200).map((n) => log.append('acme', `api-${n % 7}`, eventRun(n * 10, n * 10 + (n % 4)))),
      );
      const given = answers.flatMap(({ results }) => results.map(({ seq }) => seq));
      expect(given.toSorted((a, b) => a - b)).toEqual(seqRun(1, 500));
      for (const { results } of answers)
        expect(results.map(({ seq }) => seq)).toEqual(seqRun(results[0]!.seq, results.at(-1)!.seq));
      expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual(seqRun(1, 500));
    });

    it('chains each entry to the tag of the one before it', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 3));
      await log.append('acme', 'api', eventRun(4, 4));
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      expect(entries.map(({ prevTag }) => prevTag)).toEqual([
        '',
        ...entries.slice(0, -1).map(({ tag }) => tag),
      ]);
      expect(new Set(entries.map(({ tag }) => tag)).size).toBe(4);
      for (const { tag } of entries) expect(tag).toMatch(/^[A-Za-z0-9_-]{8,16}$/);
    });

    it('stamps entries with its time of append, which never goes back', async () => {
      const { log, advance } = harness();
      await log.append('acme', 'api', eventRun(1, 2));
      await advance(5);
      await log.append('acme', 'api', eventRun(3, 3));
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      for (const entry of entries) expect(bodyOf(entry)['timestamp']).toBe(new Date(entry.ms).toISOString());
      const times = entries.map(({ ms }) => ms);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times[2]).toBeGreaterThan(times[0]!);
    });

    it('keeps `to` with the entry and out of its JSON', async () => {
      const { log } = harness();
      await log.append('acme', 'api', [
        event('e1', { to: ['ann', 'bob'] }),
        event('e2', { service: 'chat/t-7' }),
      ]);
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      expect(entries).toMatchObject([
        { to: ['ann', 'bob'], service: 'finance', type: 'revenue' },
        { to: null, service: 'chat/t-7' },
      ]);
      expect(bodyOf(entries[0]!)).not.toHaveProperty('to');
    });

    it('answers a repeated id with the seq of the first', async () => {
      const { log } = harness();
      const first = await log.append('acme', 'api', eventRun(1, 3));
      const again = await log.append('acme', 'api', [event('e2'), event('new'), event('e3')]);
      expect(again).toEqual({
        epoch: first.epoch,
        results: [
          { seq: 2, id: 'e2', duplicate: true },
          { seq: 4, id: 'new' },
          { seq: 3, id: 'e3', duplicate: true },
        ],
      });
      expect((await page(log, 'acme', { at: 'head' })).head.seq).toBe(4);
    });

    it('stores an id that comes twice in one batch once', async () => {
      const { log } = harness();
      const { results } = await log.append('acme', 'api', [event('twin'), event('other'), event('twin')]);
      expect(results).toEqual([
        { seq: 1, id: 'twin' },
        { seq: 2, id: 'other' },
        { seq: 1, id: 'twin', duplicate: true },
      ]);
      expect((await page(log, 'acme', { at: 'earliest' })).entries).toHaveLength(2);
    });

    it('stores the same id of two publishers, and of two orgs, as different events', async () => {
      const { log } = harness();
      await log.append('acme', 'ann', [event('same')]);
      expect((await log.append('acme', 'bob', [event('same')])).results).toEqual([{ seq: 2, id: 'same' }]);
      expect((await log.append('umbrella', 'ann', [event('same')])).results).toEqual([
        { seq: 1, id: 'same' },
      ]);
    });

    it('stores nothing of a turn of its publisher that is over, and all of one that goes on', async () => {
      const { log } = harness();
      const [earlier, later] = [Date.now(), Date.now() + 1];
      await log.append('acme', 'bridge', [event('e1')], earlier);
      await log.append('acme', 'bridge', [event('e2')], later);
      await expect(log.append('acme', 'bridge', [event('late')], earlier)).rejects.toThrow(Fenced);
      // Of another publisher, of another org, and of one without turns: not its concern.
      await log.append('acme', 'other', [event('e3')], earlier);
      await log.append('umbrella', 'bridge', [event('e4')], earlier);
      await log.append('acme', 'bridge', [event('e5')]);
      await log.append('acme', 'bridge', [event('e6')], later);
      const { entries } = await page(log, 'acme', { at: 'earliest' });
      expect(entries.map((entry) => bodyOf(entry)['id'])).toEqual(['e1', 'e2', 'e3', 'e5', 'e6']);
      expect(log.health().isUp).toBe(true);
    });

    it('stores the same id once when it is appended many times at once', async () => {
      const { log } = harness();
      const answers = await Promise.all(seqRun(1, 20).map(() => log.append('acme', 'api', [event('once')])));
      const results = answers.flatMap((answer) => answer.results);
      expect(results.filter(({ duplicate }) => duplicate !== true)).toHaveLength(1);
      expect(new Set(results.map(({ seq }) => seq))).toEqual(new Set([1]));
    });

    it('knows an id to the end of the window by count, and not for ever', async () => {
      const { log, window } = harness();
      const fill = async (from: number, count: number) => {
        for (let n = from; n < from + count; n += 500)
          await log.append('acme', 'filler', eventRun(n, Math.min(n + 500, from + count) - 1));
      };
      await log.append('acme', 'api', [event('first')]);
      await fill(0, window.ids - 1);
      expect((await log.append('acme', 'api', [event('first')])).results[0]).toMatchObject({
        duplicate: true,
      });
      // An implementation may remember up to twice the window: memory stays bounded all the same.
      await fill(window.ids, window.ids * 2);
      expect((await log.append('acme', 'api', [event('first')])).results[0]).toEqual({
        seq: window.ids * 3 + 1,
        id: 'first',
      });
    });

    it('knows an id to the end of the window by time, and not for ever', async () => {
      const { log, window, advance } = harness();
      await log.append('acme', 'api', [event('first')]);
      await advance(window.ms * 0.9);
      expect((await log.append('acme', 'api', [event('first')])).results[0]).toMatchObject({
        duplicate: true,
      });
      await advance(window.ms * 2);
      // An idle org may have ended meanwhile, so its seq is not the point.
      const { results } = await log.append('acme', 'api', [event('first')]);
      expect(results).toEqual([{ seq: expect.any(Number) as number, id: 'first' }]);
    });

    it('knows an id whose entry retention has dropped', async () => {
      const { log, trim } = harness();
      await log.append('acme', 'api', eventRun(1, 2));
      await trim('acme', 3);
      expect((await log.append('acme', 'api', [event('e1')])).results).toEqual([
        { seq: 1, id: 'e1', duplicate: true },
      ]);
    });

    it('shows a reader all of a batch or nothing of it', async () => {
      const { log } = harness();
      const [batches, size] = [80, 25];
      const publish = async (publisher: string) => {
        for (let n = 0; n < batches / 2; n++)
          await log.append('acme', publisher, eventRun(n * size, (n + 1) * size - 1));
      };
      const progress = { isDone: false };
      const appending = Promise.all(['ann', 'bob'].map(publish)).finally(() => {
        progress.isDone = true;
      });
      while (!progress.isDone) {
        const { entries, head } = await page(log, 'acme', { at: 'earliest' });
        expect(head.seq % size).toBe(0);
        expect(seqsOf(entries)).toEqual(seqRun(1, head.seq));
      }
      await appending;
      expect((await page(log, 'acme', { at: 'head' })).head.seq).toBe(batches * size);
    });

    it('keeps orgs apart: seqs, epochs and events', async () => {
      const { log } = harness();
      const acme = await log.append('acme', 'api', eventRun(1, 3));
      const umbrella = await log.append('umbrella', 'api', eventRun(7, 7));
      expect(umbrella.results).toEqual([{ seq: 1, id: 'e7' }]);
      expect(umbrella.epoch).not.toBe(acme.epoch);
      expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual([1, 2, 3]);
    });

    it('answers an empty batch and stores nothing', async () => {
      const { log } = harness();
      const { epoch, results } = await log.append('acme', 'api', []);
      expect(results).toEqual([]);
      expect((await page(log, 'acme', { at: 'head' })).head).toEqual({ epoch, seq: 0, ms: 0, tag: '' });
    });
  });
}
