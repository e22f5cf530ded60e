/** Readers that come back together cost the log its pages, not one read each; and no page ever hides what the log would say. */
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Hub } from '../../src/hub/hub.ts';
import { PageCache, Pages } from '../../src/hub/pages.ts';
import { Reader } from '../../src/hub/reader.ts';
import type { Position } from '../../src/log/cursor.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { EventLog, ReadAnswer } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { faultyLog } from '../support/faulty-log.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { until } from '../support/until.ts';

const org = 'acme';
const retention = { ageMs: 60_000, events: 100_000, bytes: 256 * 1024 * 1024 };
const nothingDropped = { seq: 0, ms: 0 };
const roomy = { maxEvents: 1000, maxBytes: 1024 * 1024 };
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function memory(retentionEvents = 100_000): EventLog {
  const log = createMemoryLog({
    clock: systemClock,
    retentionMs: 60_000,
    retentionEvents,
    retentionBytes: retention.bytes,
  });
  closers.push(() => log.close());
  return log;
}

const pagesOf = (log: Pick<EventLog, 'read'>, maxBytes?: number): Pages =>
  new Pages(new PageCache(log, systemClock, maxBytes), org);

let made = 0;
async function append(log: EventLog, count: number, pad = 0): Promise<void> {
  for (let left = count; left > 0; left -= 500) {
    const events = Array.from({ length: Math.min(left, 500) }, () => {
      made += 1;
      const payload = { n: made, pad: 'x'.repeat(pad) };
      return prepareEvent({ service: 'a', type: 't', payload }, `id-${made}`);
    });
    await log.append(org, 'p', events);
  }
}

/** The places after each entry of the log, the origin first. */
async function places(log: EventLog): Promise<Position[]> {
  const answer = await log.read(org, { at: 'earliest' }, { maxEvents: 100_000, maxBytes: 1 << 28 });
  if (answer.kind !== 'page') throw new Error('the log is whole');
  const { epoch } = answer.from;
  return [answer.from, ...answer.entries.map(({ seq, ms, tag }) => ({ epoch, seq, ms, tag }))];
}

const seqsOf = (answer: ReadAnswer): number[] =>
  answer.kind === 'page' ? answer.entries.map(({ seq }) => seq) : [];
const run = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);

describe('5,000 readers of one org that resume 100 events back', () => {
  it('cost the log its pages, and each receives everything once', async () => {
    const log = faultyLog(memory());
    await append(log, 1000);
    const known = await places(log);
    // A node that has just started: its ring begins at the head.
    const hub = new Hub({
      log,
      clock: systemClock,
      ringBytes: 1 << 20,
      lingerMs: 0,
      retention,
    });
    closers.unshift(() => hub.close());
    const before = log.calls('read');
    const clients = await Promise.all(
      Array.from({ length: 5000 }, async (_, index) => {
        const position = known[900 - (index % 50)]!;
        const feed = await hub.acquire(org);
        const placed = await feed.place({ at: 'cursor', position });
        expect(placed).toEqual({ position, reset: undefined });
        const client = new ReadingClient();
        const services = new Set(['a']);
        const form = streamForm(undefined);
        const reader = new Reader({
          feed,
          form,
          sub: `u${index}`,
          services,
          position,
          sink: client,
          clock: systemClock,
        });
        reader.pump();
        return { client, position };
      }),
    );
    await append(log, 1);
    await until(() => clients.every(({ client }) => client.seqs.at(-1) === 1001), 'all to be fed');
    for (const { client, position } of clients) expect(client.seqs).toEqual(run(position.seq + 1, 1001));
    const reads = log.calls('read') - before;
    console.log(`5,000 readers resumed: ${reads} reads of the log`);
    expect(reads).toBeLessThanOrEqual(8);
  });
});

describe('pages', () => {
  it('answer as the log does from every place, whole to the limits', async () => {
    const log = memory();
    await append(log, 300);
    const pages = pagesOf(log);
    for (const position of await places(log))
      for (const maxEvents of [1, 130, 1000]) {
        const limits = { ...roomy, maxEvents };
        const start = { at: 'cursor', position } as const;
        expect(await pages.read(start, limits, nothingDropped)).toEqual(await log.read(org, start, limits));
      }
  });

  it('keep to the bytes asked for, and come in parts where events are large', async () => {
    const log = memory();
    await append(log, 60, 50_000);
    const pages = pagesOf(log);
    for (const seq of run(0, 59)) {
      const start = { at: 'lastSeq', seq } as const;
      const limits = { maxEvents: 50, maxBytes: 300_000 };
      expect(await pages.read(start, limits, nothingDropped)).toEqual(await log.read(org, start, limits));
    }
  });

  it('leave every refusal to the log: fork, epoch, ahead, expired', async () => {
    const log = memory(200);
    await append(log, 100);
    const pages = pagesOf(log);
    const [, , place] = await places(log);
    const ask = async (position: Position, floor = nothingDropped) => {
      const answer = await pages.read({ at: 'cursor', position }, roomy, floor);
      return answer.kind === 'reset' ? answer.reason : answer.entries.length;
    };
    expect(await ask(place!)).toBe(98);
    expect(await ask({ ...place!, tag: 'forked00' })).toBe('fork');
    expect(await ask({ ...place!, epoch: 'another-epoch' })).toBe('epoch');
    expect(await ask({ ...place!, seq: 101 })).toBe('ahead');
    // What retention has dropped since is refused although a page still holds it.
    await append(log, 200);
    expect(await ask(place!, { seq: 101, ms: 0 })).toBe('expired');
  });

  it('serve what is left of a page whose beginning was dropped, in one read more', async () => {
    const log = faultyLog(memory(200));
    await append(log, 300);
    const kept = await places(log);
    const pages = pagesOf(log);
    const before = log.calls('read');
    for (const position of kept.slice(0, 28))
      expect(
        seqsOf(await pages.read({ at: 'cursor', position }, { ...roomy, maxEvents: 1 }, nothingDropped)),
      ).toEqual([position.seq + 1]);
    expect(log.calls('read') - before).toBe(2);
  });

  it('are read anew once forgotten, also by who asked while an older read was on its way', async () => {
    const log = faultyLog(memory());
    await append(log, 10);
    const pages = pagesOf(log);
    const ask = () => pages.read({ at: 'lastSeq', seq: 0 }, roomy, nothingDropped);
    await ask();
    await ask();
    expect(log.calls('read')).toBe(1);
    pages.forget();
    log.holdAnswers('read');
    const old = ask();
    await until(() => log.waiting('read') === 1);
    await append(log, 5);
    pages.forget();
    log.heal();
    expect(seqsOf(await ask())).toEqual(run(1, 15));
    expect(seqsOf(await old)).toEqual(run(1, 10));
    expect(seqsOf(await ask())).toEqual(run(1, 15));
  });

  it('of a history that was forgotten are not kept because the new one is being read', async () => {
    const [lost, found] = [memory(), memory()];
    await append(lost, 5);
    await append(found, 7);
    let log = lost;
    const answers: (() => void)[] = [];
    const pages = pagesOf({
      async read(...call) {
        const answer = await log.read(...call);
        await new Promise<void>((goOn) => answers.push(goOn));
        return answer;
      },
    });
    const since = { at: 'lastSeq', seq: 1 } as const;
    const ask = (): Promise<ReadAnswer> => pages.read(since, roomy, nothingDropped);
    const first = ask();
    await until(() => answers.length, 'the read of what is lost', 1);
    log = found;
    pages.forget();
    const second = ask();
    await until(() => answers.length, 'the read of what was found', 2);
    answers[0]?.();
    expect(seqsOf(await first)).toEqual(run(2, 5));
    const third = ask();
    answers[1]?.();
    expect(seqsOf(await second)).toEqual(run(2, 7));
    expect(seqsOf(await third)).toEqual(run(2, 7));
  });

  it('ask the log for eight at a time, and go on after a failure', async () => {
    const log = faultyLog(memory());
    await append(log, 2000);
    const pages = pagesOf(log);
    log.holdAnswers('read');
    const asking = run(0, 14).map((page) =>
      pages.read({ at: 'lastSeq', seq: page * 128 }, { ...roomy, maxEvents: 5 }, nothingDropped),
    );
    await until(() => log.waiting('read') === 8);
    expect(log.calls('read')).toBe(8);
    log.refuseAnswers('read');
    const settled = Promise.allSettled(asking);
    log.heal();
    for (const outcome of await settled) expect(outcome.status).toBe('fulfilled');
    log.refuse('read');
    await expect(pages.read({ at: 'lastSeq', seq: 1920 }, roomy, nothingDropped)).rejects.toMatchObject({
      code: 'log_unavailable',
    });
    log.heal();
    expect(seqsOf(await pages.read({ at: 'lastSeq', seq: 1920 }, roomy, nothingDropped))).toHaveLength(80);
  });

  it('hold no more than their bytes', async () => {
    const log = faultyLog(memory());
    await append(log, 128 * 4, 1000);
    const pages = pagesOf(log, 300_000);
    const ask = (page: number) =>
      pages.read({ at: 'lastSeq', seq: page * 128 }, { ...roomy, maxEvents: 5 }, nothingDropped);
    for (const page of [0, 1, 2]) await ask(page);
    const before = log.calls('read');
    await ask(2);
    expect(log.calls('read')).toBe(before);
    await ask(0);
    expect(log.calls('read')).toBe(before + 1);
  });
});
