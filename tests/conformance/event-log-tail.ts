/** What a tail promises: everything after it was opened, in order, chained; joined with a read it leaves no hole. */
import { setImmediate as nextTick } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ephemeralOf } from '../../src/log/entry.ts';
import type { TailMessage } from '../../src/log/event-log.ts';
import { until } from '../support/until.ts';
import {
  after,
  bodyOf,
  event,
  eventRun,
  fromCursor,
  type LogHarness,
  listen,
  page,
  seqRun,
  seqsOf,
} from './event-log-harness.ts';

const typing = ephemeralOf(event('t1', { service: 'chat', type: 'typing', to: ['bob'] }), 0);

export function tailPromises(harness: () => LogHarness): void {
  describe('tail', () => {
    it('tells every tail what was appended since it opened, a batch whole, in order', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 2));
      const [first, second] = [await listen(log, 'acme'), await listen(log, 'acme')];
      await log.append('acme', 'api', eventRun(3, 5));
      await log.append('acme', 'api', [event('e5'), event('e6')]);
      await until(() => String(seqsOf(second.entries())), 'these entries', String([3, 4, 5, 6]));
      await until(() => String(seqsOf(first.entries())), 'these entries', String([3, 4, 5, 6]));
      expect(first.messages.map((message) => message.kind === 'appended' && message.entries.length)).toEqual([
        3, 1,
      ]);
      const kept = await page(log, 'acme', { at: 'earliest' });
      expect(first.entries()).toEqual(kept.entries.slice(2));
    });

    it('names the place before each message: the last entry before it', async () => {
      const { log } = harness();
      const fresh = await page(log, 'acme', { at: 'head' });
      const tail = await listen(log, 'acme');
      for (let n = 0; n < 30; n += 3) await log.append('acme', 'api', eventRun(n, n + (n % 3) + (n % 2)));
      await until(() => tail.entries().length, 'as many', 15);
      let place = fresh.head;
      for (const message of tail.messages as Extract<TailMessage, { kind: 'appended' }>[]) {
        expect(message.previous).toEqual(place);
        place = after(place, message.entries);
      }
      expect(place).toEqual((await page(log, 'acme', { at: 'head' })).head);
    });

    it('says nothing of an append that stored nothing', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 1));
      const tail = await listen(log, 'acme');
      await log.append('acme', 'api', eventRun(1, 1));
      await log.append('acme', 'api', []);
      await log.append('acme', 'api', eventRun(2, 2));
      await until(() => tail.messages.length, 'as many', 1);
      expect(seqsOf(tail.entries())).toEqual([2]);
    });

    it('has kept what it tells: a listener that reads finds it', async () => {
      const { log } = harness();
      const found: Promise<boolean>[] = [];
      await log.tail('acme', (message) => {
        if (message.kind !== 'appended') return;
        const reading = page(log, 'acme', fromCursor(message.previous));
        found.push(reading.then(({ entries }) => entries[0]?.tag === message.entries[0]?.tag));
      });
      for (const n of seqRun(1, 20)) await log.append('acme', 'api', eventRun(n, n));
      await until(() => found.length, 'as many', 20);
      expect(await Promise.all(found)).toEqual(Array.from({ length: 20 }, () => true));
    });

    it('keeps the order for every tail when a listener appends', async () => {
      const { log } = harness();
      const echoes: Promise<unknown>[] = [];
      let isInside = false;
      await log.tail('acme', (message) => {
        expect(isInside).toBe(false);
        isInside = true;
        const entries = message.kind === 'appended' ? message.entries : [];
        for (const { seq } of entries)
          if (seq <= 20)
            echoes.push(log.append('acme', 'echo', [event(`echo-${seq}`), event(`again-${seq}`)]));
        isInside = false;
      });
      const later = await listen(log, 'acme');
      await Promise.all(seqRun(1, 10).map((n) => log.append('acme', 'api', eventRun(n, n))));
      await until(() => echoes.length, 'as many', 20);
      await Promise.all(echoes);
      await until(() => later.entries().length, 'as many', 50);
      expect(seqsOf(later.entries())).toEqual(seqRun(1, 50));
    });

    it('joins a reader under load without hole or repeat: tail first, then read', async () => {
      const { log } = harness();
      const total = 3000;
      const publish = async (publisher: string) => {
        for (let n = 0; n < total / 4; n += 5) {
          await log.append('acme', publisher, eventRun(n, n + 4));
          if (n % 25 === 0) await nextTick();
        }
      };
      const join = async (delayTicks: number) => {
        for (let tick = 0; tick < delayTicks; tick++) await nextTick();
        const tail = await listen(log, 'acme');
        let { from } = await page(log, 'acme', { at: 'earliest' });
        const seen: number[] = [];
        for (;;) {
          const { entries } = await page(log, 'acme', fromCursor(from), {
            maxEvents: 100,
            maxBytes: 1 << 20,
          });
          if (entries.length === 0) break;
          seen.push(...seqsOf(entries));
          from = after(from, entries);
        }
        await until(() => tail.entries().at(-1)?.seq ?? from.seq, 'it', total);
        return [...seen, ...seqsOf(tail.entries().filter(({ seq }) => seq > from.seq))];
      };
      const joining = Promise.all(seqRun(0, 9).map((n) => join(n * 3)));
      await Promise.all(['ann', 'bob', 'cyd', 'dan'].map(publish));
      for (const seen of await joining) expect(seen).toEqual(seqRun(1, total));
    });

    it('is silent once its close has resolved, and the others are not', async () => {
      const { log } = harness();
      const [closed, open] = [await listen(log, 'acme'), await listen(log, 'acme')];
      await log.append('acme', 'api', eventRun(1, 1));
      await until(() => closed.entries().length, 'as many', 1);
      await closed.close();
      await closed.close();
      await log.append('acme', 'api', eventRun(2, 2));
      await until(() => String(seqsOf(open.entries())), 'these entries', String([1, 2]));
      expect(seqsOf(closed.entries())).toEqual([1]);
    });

    it('hears its own org alone', async () => {
      const { log } = harness();
      const tail = await listen(log, 'acme');
      await log.append('umbrella', 'api', eventRun(1, 1));
      await log.publishEphemeral('umbrella', [typing]);
      await log.append('acme', 'api', eventRun(2, 2));
      await until(() => tail.messages.length, 'as many', 1);
      expect(bodyOf(tail.entries()[0]!)).toMatchObject({ seq: 1, id: 'e2' });
    });

    it('hears an ephemeral event live; nothing of it is stored', async () => {
      const { log } = harness();
      await log.append('acme', 'api', eventRun(1, 1));
      const tail = await listen(log, 'acme');
      await log.publishEphemeral('acme', [typing]);
      await log.append('acme', 'api', eventRun(2, 2));
      await until(() => tail.messages.length, 'as many', 2);
      expect(tail.messages[0]).toEqual({ kind: 'ephemeral', events: [typing] });
      expect(bodyOf(typing)).not.toHaveProperty('seq');
      expect(seqsOf((await page(log, 'acme', { at: 'earliest' })).entries)).toEqual([1, 2]);
    });

    it('takes an ephemeral event that nobody hears', async () => {
      const { log } = harness();
      await log.publishEphemeral('acme', [typing]);
      expect((await page(log, 'acme', { at: 'head' })).head.seq).toBe(0);
    });

    it('counts the orgs it is subscribed to, not the tails', async () => {
      const { log } = harness();
      expect(log.health()).toMatchObject({ isUp: true, subscriptions: 0 });
      const tails = [await listen(log, 'acme'), await listen(log, 'acme'), await listen(log, 'umbrella')];
      expect(log.health().subscriptions).toBe(2);
      for (const tail of tails) await tail.close();
      expect(log.health().subscriptions).toBe(0);
    });
  });
}
