/** What stands in Redis for each org, how it is bounded and when it ends. */
import { describe, expect } from 'vitest';
import { sleep, until } from '../support/until.ts';
import { eventRun, fromLastSeq, listen, page, resetReason, seqRun, seqsOf } from './event-log-harness.ts';
import { it } from './own-redis.ts';

describe.concurrent('what the log keeps in Redis', () => {
  it('shares one hash tag for each org, whatever its name, and ends by itself', async ({ server, logAt }) => {
    const log = await logAt(server.url);
    for (const org of ['acme', 'a@b.c:d-e_f']) await log.append(org, 'api', eventRun(1, 1));
    const keys = (await server.client.keys('t:*')).filter((key) => !key.includes('{alive'));
    expect(keys.toSorted()).toEqual(
      ['acme', 'a%40b.c%3Ad-e_f']
        .flatMap((org) => ['ids:0', 'meta', 'stream'].map((part) => `t:{${org}}:${part}`))
        .toSorted(),
    );
    for (const key of keys) expect(await server.client.pttl(key)).toBeGreaterThan(60_000);
  });

  it('is kept while a node has a tail of the org', async ({ server, logAt }) => {
    const log = await logAt(server.url);
    await log.append('acme', 'api', eventRun(1, 1));
    await log.append('other', 'api', eventRun(1, 1));
    await listen(log, 'acme');
    for (const org of ['acme', 'other'])
      for (const part of ['meta', 'stream', 'ids:0'])
        await server.client.pexpire(`t:{${org}}:${part}`, 50_000);
    await until(async () => (await server.client.pttl('t:{acme}:stream')) > 60_000);
    expect(await server.client.pttl('t:{other}:stream')).toBeLessThanOrEqual(50_000);
  });

  it('is bounded by count, about, and read by age exactly', async ({ server, logAt }) => {
    const log = await logAt(server.url, { retentionEvents: 200, retentionMs: 2000 });
    for (let n = 0; n < 2000; n += 100) await log.append('acme', 'api', eventRun(n + 1, n + 100));
    const length = await server.client.xlen('t:{acme}:stream');
    expect(length).toBeGreaterThanOrEqual(200);
    expect(length).toBeLessThan(500);
    const { entries } = await page(log, 'acme', { at: 'earliest' });
    expect(entries.at(-1)?.seq).toBe(2000);
    await sleep(2100);
    const emptied = await page(log, 'acme', { at: 'earliest' });
    expect(emptied.entries).toEqual([]);
    expect(emptied.from).toEqual(emptied.head);
    expect(await resetReason(log, 'acme', fromLastSeq(1999))).toBe('expired');
  });

  it('finds any `lastSeq` in 20 steps, however appends were spread over time', async ({ server, logAt }) => {
    const log = await logAt(server.url, { retentionMs: 30 * 24 * 3_600_000 });
    const { head } = await page(log, 'acme', { at: 'head' });
    // Bursts and silences over ten days, stored as append.lua does.
    const [total, startMs] = [4000, Date.now() - 10 * 24 * 3_600_000];
    let ms = startMs;
    const pipeline = server.client.pipeline();
    for (const seq of seqRun(1, total)) {
      if (seq % 7 === 0) ms += Math.floor((seq % 500 === 0 ? 1e8 : 3) * Math.abs(Math.sin(seq)));
      const entry = `tag${seq}\ntag${seq - 1}\n\n"id":"e${seq}","service":"a","type":"t"\n,"payload":1}`;
      pipeline.xadd('t:{acme}:stream', `${ms}-${seq}`, 'e', entry);
    }
    pipeline.hset('t:{acme}:meta', 'seq', total, 'ms', ms, 'tag', `tag${total}`);
    await pipeline.exec();
    const steps = async (): Promise<number> => {
      const stats = await server.client.info('commandstats');
      return Number(/cmdstat_xrange:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    let most = 0;
    for (const seq of seqRun(1, total - 1).filter((n) => n % 37 === 0)) {
      const before = await steps();
      const limits = { maxEvents: 1, maxBytes: 1 };
      const answer = await log.read('acme', fromLastSeq(seq, head.epoch), limits);
      if (answer.kind !== 'page') throw new Error(`a page was due for ${seq}, not ${answer.reason}`);
      expect([answer.from.seq, answer.from.tag]).toEqual([seq, `tag${seq}`]);
      expect(seqsOf(answer.entries)).toEqual([seq + 1]);
      most = Math.max(most, (await steps()) - before);
    }
    // Besides the search: the first kept entry, two looks by id, a last scan, and the page.
    expect(most).toBeLessThanOrEqual(20 + 5);
  });
});
