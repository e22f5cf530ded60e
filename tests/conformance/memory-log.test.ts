/** The memory log keeps the port's promises, and its own: exact retention, a clock that goes back, orgs that end. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { limits } from '../../schema/codes.ts';
import type { PublishEvent } from '../../schema/envelope.ts';
import { type LogEntry, prepareEvent } from '../../src/log/entry.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { createMemoryLog, type MemoryLogOptions } from '../../src/log/memory-log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { eventLogConformance } from './event-log.ts';
import {
  bodyOf,
  event,
  eventRun,
  fromCursor,
  type LogHarness,
  listen,
  page,
  resetReason,
  seqsOf,
} from './event-log-harness.ts';

const retention = { retentionMs: 60_000, retentionEvents: 10_000, retentionBytes: 256 * 1024 * 1024 };

/** The events of `entries` as their publisher gave them. */
const preparedAgain = (entries: readonly LogEntry[]) =>
  entries.map((entry) => {
    const { seq: _seq, timestamp: _timestamp, ...fields } = bodyOf(entry);
    const given = { ...fields, ...(entry.to && { to: [...entry.to] }) } as unknown as PublishEvent;
    return prepareEvent(given, String(fields['id']));
  });

const keptSeqs = async (log: EventLog) => seqsOf((await page(log, 'acme', { at: 'earliest' })).entries);

/** Forks and losses are made the way they happen to a single node: another log takes over. */
async function memoryLogHarness(): Promise<LogHarness> {
  const clock = new FakeClock();
  const make = (more: Partial<MemoryLogOptions> = {}) => createMemoryLog({ clock, ...retention, ...more });
  const others: EventLog[] = [];
  let log = make();
  const takeOver = async (next: EventLog) => {
    await log.close();
    log = next;
  };
  return {
    get log() {
      return log;
    },
    window: { ms: limits.idempotencyMs, ids: limits.idempotencyIds },
    advance: async (ms) => clock.advance(ms),
    async trim(org, firstKept) {
      const { entries } = await page(log, org, { at: 'earliest' });
      const lastDropped = entries.find(({ seq }) => seq === firstKept - 1)!;
      clock.advance(lastDropped.ms + retention.retentionMs + 1 - clock.now());
    },
    async fork(org, seq) {
      const { entries, head } = await page(log, org, { at: 'earliest' });
      const oldTags = entries.slice(0, seq).map(({ tag }) => tag);
      const other = make({
        newEpoch: () => head.epoch,
        newTag: () => oldTags.shift() ?? clock.tag(48),
      });
      await other.append(org, 'restored', preparedAgain(entries.slice(0, seq)));
      await other.append(org, 'after', eventRun(1000, 999 + head.seq - seq));
      await takeOver(other);
    },
    loseEverything: () => takeOver(make()),
    async bounded(bounds) {
      const other = make(bounds);
      others.push(other);
      return other;
    },
    async close() {
      for (const one of [log, ...others]) await one.close();
    },
  };
}

eventLogConformance('in memory', memoryLogHarness);

describe('memory log', () => {
  const opened: EventLog[] = [];
  const make = (clock: FakeClock, more: Partial<MemoryLogOptions> = {}): EventLog => {
    const log = createMemoryLog({ clock, ...retention, ...more });
    opened.push(log);
    return log;
  };
  afterEach(() => Promise.all(opened.splice(0).map((log) => log.close())));

  it('drops by age on a read, so that an org nobody appends to expires', async () => {
    const clock = new FakeClock();
    const log = make(clock);
    await log.append('acme', 'api', eventRun(1, 1));
    clock.advance(30_000);
    await log.append('acme', 'api', eventRun(2, 2));
    clock.advance(30_000);
    expect(await keptSeqs(log)).toEqual([1, 2]);
    clock.advance(1);
    expect(await keptSeqs(log)).toEqual([2]);
    clock.advance(30_000);
    expect(await keptSeqs(log)).toEqual([]);
    expect((await page(log, 'acme', { at: 'head' })).head.seq).toBe(2);
  });

  it('forgets an id just past the window, by time and by count', async () => {
    const clock = new FakeClock();
    const log = make(clock, { idempotencyMs: 1000, idempotencyIds: 3 });
    const isDuplicate = async (id: string) =>
      (await log.append('acme', 'api', [event(id)])).results[0]?.duplicate === true;
    expect(await isDuplicate('a')).toBe(false);
    clock.advance(1000);
    expect(await isDuplicate('a')).toBe(true);
    clock.advance(1);
    expect(await isDuplicate('a')).toBe(false);
    await log.append('acme', 'api', [event('b'), event('c')]);
    expect(await isDuplicate('a')).toBe(true);
    await log.append('acme', 'api', [event('d')]);
    expect(await isDuplicate('a')).toBe(false);
  });

  it('keeps append times in order when the clock goes back', async () => {
    const clock = new FakeClock();
    const log = make(clock);
    await log.append('acme', 'api', eventRun(1, 1));
    clock.setNow(clock.now() - 5000);
    await log.append('acme', 'api', eventRun(2, 2));
    clock.setNow(clock.now() + 9000);
    await log.append('acme', 'api', eventRun(3, 3));
    const [first, second, third] = (await page(log, 'acme', { at: 'earliest' })).entries;
    expect(second?.ms).toBe(first?.ms);
    expect(third?.ms).toBe(first!.ms + 4000);
  });

  it('ends an org that is empty, untailed and unused for the retention and idempotency times', async () => {
    const clock = new FakeClock();
    const log = make(clock);
    await log.append('acme', 'api', eventRun(1, 2));
    const { head } = await page(log, 'acme', { at: 'head' });
    const tail = await listen(log, 'acme');
    clock.advance(limits.idempotencyMs * 3);
    expect((await page(log, 'acme', fromCursor(head))).head).toEqual(head);
    await tail.close();
    clock.advance(limits.idempotencyMs - 1);
    expect((await page(log, 'acme', fromCursor(head))).head).toEqual(head);
    clock.advance(limits.idempotencyMs + 60_000);
    expect(await resetReason(log, 'acme', fromCursor(head))).toBe('epoch');
  });

  it('draws epochs of 72 and tags of 48 bits', async () => {
    const bits: number[] = [];
    const clock = new FakeClock();
    vi.spyOn(clock, 'tag').mockImplementation((wanted) => (bits.push(wanted), `tag-${bits.length}`));
    const log = make(clock);
    await log.append('acme', 'api', eventRun(1, 2));
    await log.append('acme', 'api', eventRun(3, 3));
    expect(bits).toEqual([72, 48, 48, 48]);
  });
});
