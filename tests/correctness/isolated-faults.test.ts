/** A callback that throws concerns its own reader, feed, timer or listener: the others go on, and the fault is told. */
import { afterEach, expect, it } from 'vitest';
import { isolatingTimers } from '../../src/async/faults.ts';
import { Listeners } from '../../src/async/listeners.ts';
import { systemClock } from '../../src/clock.ts';
import type { Form } from '../../src/hub/chunk.ts';
import type { OnFlushed } from '../../src/hub/group.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Reader, type Sink } from '../../src/hub/reader.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { until } from '../support/until.ts';

const retention = { ageMs: 60_000, events: 10_000, bytes: 64 * 1024 * 1024 };
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const sound = streamForm(undefined);
/** A form that one kind of event can't be written in. */
const poisonable: Form = {
  ...sound,
  name: 'poisonable',
  encode(entries, epoch) {
    if (entries.some(({ type }) => type === 'poison')) throw new TypeError('poison');
    return sound.encode(entries, epoch);
  },
};

async function open(onFlushed?: OnFlushed) {
  const log = createMemoryLog({
    clock: systemClock,
    retentionMs: retention.ageMs,
    retentionEvents: retention.events,
    retentionBytes: retention.bytes,
  });
  const faults: string[] = [];
  const hub = new Hub({
    log,
    clock: systemClock,
    ringBytes: 1 << 20,
    lingerMs: 0,
    retention,
    onFault: (where, error) => faults.push(`${where}: ${error instanceof Error ? error.message : ''}`),
    ...(onFlushed && { onFlushed }),
  });
  closers.push(
    () => hub.close(),
    () => log.close(),
  );
  let ids = 0;
  return {
    faults,
    publish: (org: string, type = 't') => {
      ids += 1;
      return log.append(org, 'p', [prepareEvent({ service: 'a', type, payload: 1 }, `id-${ids}`)]);
    },
    read: async <S extends Sink>(org: string, form: Form, sink: S): Promise<S> => {
      const feed = await hub.acquire(org);
      const services = new Set(['a']);
      const { head: position } = feed;
      new Reader({ feed, form, sub: 'u', services, position, sink, clock: systemClock }).pump();
      return sink;
    },
  };
}

it("an event that can't be encoded ends its readers alone: the org's others and other orgs miss nothing", async () => {
  const { faults, publish, read } = await open();
  const bad = [
    await read('bad', poisonable, new ReadingClient()),
    await read('bad', poisonable, new ReadingClient()),
  ];
  const beside = await read('bad', sound, new ReadingClient());
  const elsewhere = await read('good', poisonable, new ReadingClient());
  await publish('bad');
  // Of one tick: what is flushed together.
  await Promise.all([publish('bad', 'poison'), publish('good'), publish('bad'), publish('good')]);
  await until(() => beside.seqs.length, 'those beside it', 3);
  await until(() => elsewhere.seqs.length, 'those of another org', 2);
  for (const { faults: told, seqs } of bad) {
    expect(told).toMatchObject([{ message: 'poison' }]);
    expect(seqs.length).toBeLessThanOrEqual(1);
  }
  await publish('bad');
  await until(() => beside.seqs.length, 'those beside it', 4);
  expect(beside.faults).toEqual([]);
  expect(faults).toEqual(['reader: poison', 'reader: poison']);
});

it('a client whose socket throws, even on being told so, is the only one who misses what came', async () => {
  const { faults, publish, read } = await open();
  const thrower: Sink = {
    hasRoom: true,
    deliver: () => {
      throw new Error('deliver');
    },
    reset: () => undefined,
    ephemeral: () => undefined,
    fail: () => {
      throw new Error('fail');
    },
  };
  await read('acme', sound, thrower);
  const after = await read('acme', sound, new ReadingClient());
  await publish('acme');
  await until(() => after.seqs.length, 'the reader after it', 1);
  await publish('acme');
  await until(() => after.seqs.length, 'the reader after it', 2);
  expect(faults).toEqual(['reader: deliver', 'reader: fail']);
});

it('a flush that throws leaves the other feeds of its tick their turn', async () => {
  const { faults, publish, read } = await open((form) => {
    if (form.name === poisonable.name) throw new Error('flush');
  });
  await read('bad', poisonable, new ReadingClient());
  const good = await read('good', sound, new ReadingClient());
  await Promise.all([publish('bad'), publish('good')]);
  await until(() => good.seqs.length, 'the feed after it', 1);
  expect(faults).toEqual(['feed: flush']);
});

it('a deadline that throws leaves the others of its slot, and those to come, theirs', () => {
  const clock = new FakeClock();
  const faults: unknown[] = [];
  const wheel = new Wheel(clock, (where) => faults.push(where));
  let ran = 0;
  wheel.after(100, () => {
    throw new Error('poison');
  });
  for (const ms of [100, 100, 300]) wheel.after(ms, () => (ran += 1));
  clock.advance(1000);
  wheel.close();
  expect(ran).toBe(3);
  expect(faults).toEqual(['timer']);
});

it('a timer that throws goes on, and is told each time', () => {
  const inner = new FakeClock();
  const faults: unknown[] = [];
  const clock = isolatingTimers(inner, (where) => faults.push(where));
  let ran = 0;
  const stop = clock.every(100, () => {
    ran += 1;
    throw new Error('poison');
  });
  clock.after(100, () => {
    throw new Error('poison');
  });
  inner.advance(300);
  stop();
  inner.advance(300);
  expect(ran).toBe(3);
  expect(faults).toEqual(['timer', 'timer', 'timer', 'timer']);
});

it('a listener that throws keeps the next ones from nothing, and the fault from nobody', () => {
  const listeners = new Listeners<[number]>();
  const heard: number[] = [];
  listeners.add(() => {
    throw new Error('poison');
  });
  listeners.add((n) => heard.push(n));
  expect(() => listeners.tell(1)).toThrow('poison');
  expect(heard).toEqual([1]);
});
