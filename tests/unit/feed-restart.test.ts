/** What a feed that begins anew owes to those who were reading the log at that moment. */
import { expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Reader } from '../../src/hub/reader.ts';
import type { Position } from '../../src/log/cursor.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { EventLog, ReadLimits, Start, TailMessage } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { swappedLog } from '../support/swapped-log.ts';
import { until } from '../support/until.ts';

const org = 'acme';
const retention = { ageMs: 60_000, events: 10_000, bytes: 64 * 1024 * 1024 };
const memory = (newEpoch = () => systemClock.tag(72)): EventLog =>
  createMemoryLog({
    clock: systemClock,
    newEpoch,
    retentionMs: retention.ageMs,
    retentionEvents: retention.events,
    retentionBytes: retention.bytes,
  });
const fill = (log: EventLog, count: number) =>
  log.append(
    org,
    'p',
    Array.from({ length: count }, (_, n) => prepareEvent({ service: 'a', type: 't', payload: n }, `id-${n}`)),
  );

it('tells reset to a reader that joins a read of the log which began before the log was lost', async () => {
  const [lost, found] = [memory(), memory()];
  await fill(lost, 10);
  await fill(found, 3);
  let log = lost;
  let listener: (message: TailMessage) => void = () => undefined;
  let answerOld: () => void = () => undefined;
  let pagesOfOld = 0;
  const swapped = swappedLog(() => log, {
    async read(name, start, limits) {
      const answer = await log.read(name, start, limits);
      if (log === lost && start.at === 'lastSeq' && start.seq === 0 && limits.maxEvents > 1) {
        pagesOfOld += 1;
        await new Promise<void>((resolve) => {
          answerOld = resolve;
        });
      }
      return answer;
    },
    async tail(_name, told) {
      listener = told;
      return { close: async () => undefined };
    },
  });
  const hub = new Hub({ log: swapped, clock: systemClock, ringBytes: 1 << 20, lingerMs: 0, retention });
  const feed = await hub.acquire(org);
  const { position } = await feed.place({ at: 'earliest' });
  const reading = (client: ReadingClient): Reader =>
    new Reader({
      feed,
      form: streamForm(undefined),
      sub: 'u',
      services: new Set(['a']),
      position,
      sink: client,
      clock: systemClock,
    });
  const [first, second] = [new ReadingClient(), new ReadingClient()];
  reading(first).pump();
  reading(second);
  await until(() => pagesOfOld, 'the read of the old log', 1);

  log = found;
  const newHead = await found.read(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  listener({ kind: 'interrupted' });
  await until(
    () => feed.head.epoch,
    'the new epoch',
    (seen) => seen === newHead.head.epoch,
  );
  answerOld();

  await until(() => first.resets.length, 'the reset of the one that was reading');
  await until(() => second.resets.length, 'the reset of the one that joined its read');
  expect(second.seqs).toEqual([]);
});

it.each([
  { what: 'another epoch', isForked: false },
  { what: 'a fork', isForked: true },
])('gives a reader that stands in $what nothing of what the log lost', async ({ isForked }) => {
  const [lost, found] = [memory(), memory()];
  await fill(found, 6);
  let log = lost;
  // A failover keeps the epoch: told by tags alone.
  const { epoch } = (await lost.read(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 })).head;
  const own = (await found.read(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 })).head.epoch;
  const told = <T extends { epoch: string }>(position: T): T =>
    isForked && position.epoch === own ? { ...position, epoch } : position;
  const swapped = swappedLog(() => log, {
    async read(name, start, limits) {
      const isOfLost = isForked && log === found && start.at === 'cursor' && start.position.epoch === epoch;
      const asked = isOfLost ? { at: start.at, position: { ...start.position, epoch: own } } : start;
      const answer = await log.read(name, asked, limits);
      const head = told(answer.head);
      return answer.kind === 'page' ? { ...answer, head, from: told(answer.from) } : { ...answer, head };
    },
    tail: (...call) => lost.tail(...call),
  });
  const hub = new Hub({ log: swapped, clock: systemClock, ringBytes: 1 << 20, lingerMs: 0, retention });
  const feed = await hub.acquire(org);
  await fill(lost, 10);
  const form = streamForm(undefined);
  const services = new Set(['a']);
  const read = (position: Position, client: ReadingClient): Reader => {
    const reader = new Reader({ feed, form, sub: 'u', services, position, sink: client, clock: systemClock });
    reader.pump();
    return reader;
  };
  const [old, elsewhere] = [new ReadingClient(), new ReadingClient()];
  read((await feed.place({ at: 'earliest' })).position, old);
  await until(() => old.seqs.length, 'what the log had', 10);

  // The log is another now, and this feed was not told. A cursor of the new one comes from a node that was.
  log = found;
  const page = await swapped.read(org, { at: 'earliest' }, { maxEvents: 3, maxBytes: 1 << 20 });
  const third = page.kind === 'page' ? page.entries[2] : undefined;
  if (third === undefined) throw new Error('the log has three entries');
  const cursor = { epoch: page.head.epoch, seq: third.seq, ms: third.ms, tag: third.tag };
  const { position, reset } = await feed.place({ at: 'cursor', position: cursor });
  expect(reset).toBeUndefined();
  read(position, elsewhere);
  await until(
    () => elsewhere.seqs.length,
    'the rest of the new log',
    (seen) => seen >= 3,
  );
  expect(elsewhere.seqs).toEqual([4, 5, 6]);
  expect(elsewhere.resets).toEqual([]);
  await until(() => old.resets.length, 'those who read the old one to be told');
  expect(old.resets.map(({ reason }) => reason)).toEqual([isForked ? 'ahead' : 'epoch']);
  expect(elsewhere.frames.at(-1)?.cursor).toContain(page.head.epoch);
});

/** A feed over one log, then over another: its reads wait where a test says so, and it hears what it is told. */
async function swapping(newEpoch?: () => string) {
  const [lost, found] = [memory(newEpoch), memory(newEpoch)];
  await fill(lost, 10);
  await fill(found, 3);
  let log = lost;
  let listener: (message: TailMessage) => void = () => undefined;
  let mustWait: (start: Start, limits: ReadLimits) => boolean = () => false;
  const waiting: (() => void)[] = [];
  let reads = 0;
  let isBehind = false;
  const swapped = swappedLog(() => log, {
    async read(name, start, limits) {
      reads += 1;
      if (isBehind && start.at === 'cursor')
        return { kind: 'page', from: start.position, entries: [], head: start.position };
      const answer = await log.read(name, start, limits);
      // A turn of the loop, as any real log takes.
      await new Promise((resolve) => setImmediate(resolve));
      if (mustWait(start, limits)) await new Promise<void>((resolve) => waiting.push(resolve));
      return answer;
    },
    async tail(_name, told) {
      listener = told;
      return { close: async () => undefined };
    },
  });
  // What a feed puts off comes soon.
  const clock = { ...systemClock, after: (ms: number, run: () => void) => systemClock.after(ms / 20, run) };
  const hub = new Hub({ log: swapped, clock, ringBytes: 1 << 20, lingerMs: 0, retention });
  const feed = await hub.acquire(org);
  const { head } = await found.read(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  return {
    feed,
    lost,
    found,
    newHead: head,
    tell: (message: TailMessage) => listener(message),
    reads: () => reads,
    swap: () => (log = found),
    /** A server that is the master no more answers. */
    fallBehind: (is: boolean) => (isBehind = is),
    waiting,
    holdAnswers: (of: typeof mustWait) => (mustWait = of),
    read: (position: Position, client: ReadingClient): Reader => {
      const services = new Set(['a']);
      const form = streamForm(undefined);
      return new Reader({ feed, form, sub: 'u', services, position, sink: client, clock: systemClock });
    },
  };
}

it('tells reset to a reader that was placed by the log that was lost, once its feed has begun anew', async () => {
  const { feed, newHead, tell, swap, waiting, holdAnswers, read } = await swapping();
  holdAnswers(({ at }) => at === 'lastSeq');
  const placing = feed.place({ at: 'lastSeq', seq: 8 });
  await until(() => waiting.length, 'the question where it stands', 1);
  swap();
  tell({ kind: 'interrupted' });
  await until(
    () => feed.head.epoch,
    'the new epoch',
    (seen) => seen === newHead.epoch,
  );
  holdAnswers(() => false);
  waiting[0]?.();

  const client = new ReadingClient();
  read((await placing).position, client).pump();
  await until(() => client.resets.length, 'the reset');
  expect(client.resets).toMatchObject([{ reason: 'epoch', head: { seq: 3 } }]);
});

it('tells reset to a reader as far as its feed, in a history that the log has lost', async () => {
  const { feed, lost, read } = await swapping(() => 'kept');
  const client = new ReadingClient();
  // Read by a node that stood on the old master: the tenth, as here, and another one.
  read({ ...feed.head, tag: 'lost' }, client).pump();
  await until(() => client.resets.length, 'the reset');
  expect(client.resets).toMatchObject([{ reason: 'fork', head: { seq: 10 } }]);
  expect((await lost.read(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 })).head).toEqual(feed.head);
});

it.each([
  { what: 'another epoch', reason: 'epoch', newEpoch: undefined },
  // A failover keeps the epoch: told by tags alone.
  { what: 'a fork', reason: 'ahead', newEpoch: () => 'kept' },
])('tells reset to a reader that subscribes while it asks where it stands: in $what', async (told) => {
  const { feed, newHead, tell, swap, waiting, holdAnswers, read } = await swapping(told.newEpoch);
  const client = new ReadingClient();
  const reader = read(feed.head, client);
  reader.pump();
  swap();
  holdAnswers((_start, limits) => limits.maxEvents === 500);
  tell({ kind: 'interrupted' });
  await until(
    () => feed.head.tag,
    'the new history',
    (seen) => seen === newHead.tag,
  );
  await until(() => waiting.length, 'the read of the reader', 1);
  reader.setServices(new Set(['a', 'b']));
  holdAnswers(() => false);
  waiting[0]?.();
  await until(() => client.resets.length, 'the reset');
  expect(client.resets).toMatchObject([{ reason: told.reason, head: { seq: 3 } }]);
});

it('does not ask the log on and on about a message of a history that it does not have', async () => {
  const { feed, lost, found, tell, reads } = await swapping();
  const before = reads();
  const page = await found.read(org, { at: 'earliest' }, { maxEvents: 3, maxBytes: 1 << 20 });
  if (page.kind !== 'page') throw new Error('the log has three entries');
  tell({ kind: 'appended', previous: page.from, entries: page.entries });
  // At once, and once more a while later.
  await until(() => reads() - before, 'the second question', 2);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(reads() - before).toBe(2);
  const previous = feed.head;
  await lost.append(org, 'p', [prepareEvent({ service: 'a', type: 't', payload: 11 }, 'id-11')]);
  const next = await lost.read(org, { at: 'cursor', position: previous }, { maxEvents: 1, maxBytes: 1 });
  tell({ kind: 'appended', previous, entries: next.kind === 'page' ? next.entries : [] });
  expect(feed.head.seq).toBe(11);
});

it('has in the end what it heard of, though the log that it asked at first was behind', async () => {
  const { feed, lost, tell, fallBehind, reads } = await swapping();
  const before = reads();
  const events = [11, 12].map((n) => prepareEvent({ service: 'a', type: 't', payload: n }, `id-${n}`));
  await lost.append(org, 'p', events);
  const last = await lost.read(org, { at: 'lastSeq', seq: 11 }, { maxEvents: 1, maxBytes: 1 });
  if (last.kind !== 'page') throw new Error('the log has twelve entries');
  fallBehind(true);
  tell({ kind: 'appended', previous: last.from, entries: last.entries });
  await until(
    () => reads(),
    'the question',
    (seen) => seen > before,
  );
  fallBehind(false);
  await until(() => feed.head.seq, 'what the log has', 12);
  expect(feed.head.epoch).toBe(last.head.epoch);
});
