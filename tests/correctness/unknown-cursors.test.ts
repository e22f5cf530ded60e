/** What looking for a legacy client's cursor costs the log: bounded for what isn't there, for a user, an org and a node. */
import { expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createDialect } from '../../src/legacy/dialect/profile-dialect.ts';
import { Places } from '../../src/legacy/serve/places.ts';
import { SearchBudget } from '../../src/legacy/serve/search-budget.ts';
import { type PreparedEvent, prepareEvent } from '../../src/log/entry.ts';
import { bridgePublisher, type EventLog } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { bridgeProfile, streamSource } from '../support/bridge-profiles.ts';
import { FakeClock } from '../support/fake-clock.ts';

type Format = 'integer' | 'string';

async function bridged(
  log: EventLog,
  org: string,
  from: number,
  to: number,
  name: (id: number) => string = String,
): Promise<void> {
  const event = { service: 'updates', type: 'note', payload: {} };
  for (let id = from; id <= to; id += 500) {
    const batch = Array.from({ length: Math.min(500, to - id + 1) }, (_, at): PreparedEvent => {
      return { ...prepareEvent(event, name(id + at)), isBridged: true };
    });
    await log.append(org, bridgePublisher('old'), batch, 1);
  }
}

/** A log whose reads are counted, and places over it; time stands still until it is moved. */
function openPlaces(format: Format, readsPerS = 1e6) {
  const clock = new FakeClock();
  const log = createMemoryLog({
    clock: systemClock,
    retentionMs: 3_600_000,
    retentionEvents: 100_000,
    retentionBytes: 1e9,
  });
  const cost = { reads: 0, atOnce: 0, mostAtOnce: 0 };
  const counted: Pick<EventLog, 'read'> = {
    async read(...asked) {
      cost.reads += 1;
      cost.atOnce += 1;
      cost.mostAtOnce = Math.max(cost.mostAtOnce, cost.atOnce);
      // As long as a way to Redis and back, at least.
      await new Promise(setImmediate);
      cost.atOnce -= 1;
      return log.read(...asked);
    },
  };
  const profile = bridgeProfile('old', streamSource('redis://127.0.0.1:9'));
  const cursor = { ...profile.request.cursor, format };
  const dialect = createDialect({ ...profile, request: { ...profile.request, cursor } });
  const budget = new SearchBudget({ clock, readsPerS });
  const places = new Places({ log: counted, dialect, clock, budget });
  /** @returns what the work has cost the log */
  const costOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = cost.reads;
    await work();
    return cost.reads - before;
  };
  return { clock, log, places, cost, costOf };
}

const named = (id: number): string => `event-${id}`;

it.each<[Format, string]>([
  ['integer', '7'],
  ['integer', '999999'],
  ['string', 'event-none'],
])('looks for an unknown cursor (%s %s) once, and then only through what is new', async (format, unknown) => {
  const { clock, log, places, costOf } = openPlaces(format);
  await bridged(log, 'acme', 1001, 11_000, format === 'string' ? named : String);
  const ask = (): Promise<unknown> => places.place('acme', unknown, 'ann');
  expect(await costOf(ask)).toBeLessThan(40);
  expect(await costOf(() => Promise.all(Array.from({ length: 100 }, ask)))).toBe(0);
  clock.advance(1000);
  // The head alone: nothing was appended.
  expect(await costOf(() => Promise.all(Array.from({ length: 100 }, ask)))).toBe(1);
  await bridged(log, 'acme', 11_001, 11_300, format === 'string' ? named : String);
  clock.advance(1000);
  expect(await costOf(ask)).toBeLessThanOrEqual(3);
  expect(await ask()).toBe('unknown-cursor');
});

it('finds a cursor that the log lagged behind as soon as the bridge has brought it', async () => {
  for (const format of ['integer', 'string'] as const) {
    const { clock, log, places } = openPlaces(format);
    await bridged(log, 'acme', 1, 100);
    expect(await places.place('acme', '101', 'ann')).toBe('unknown-cursor');
    await bridged(log, 'acme', 101, 101);
    clock.advance(250);
    expect(await places.place('acme', '101', 'ann')).toMatchObject({ seq: 101 });
  }
});

it('finds a number between two that came one before and one after it was asked for', async () => {
  const { clock, log, places } = openPlaces('integer');
  await bridged(log, 'acme', 1, 100);
  expect(await places.place('acme', '150', 'ann')).toBe('unknown-cursor');
  await bridged(log, 'acme', 200, 210);
  clock.advance(250);
  expect(await places.place('acme', '150', 'ann')).toMatchObject({ seq: 100 });
});

it('looks in a new log for what the one before it had not', async () => {
  const clock = new FakeClock();
  const options = { clock: systemClock, retentionMs: 3_600_000, retentionEvents: 1e5, retentionBytes: 1e9 };
  let log = createMemoryLog(options);
  const dialect = createDialect(bridgeProfile('old', streamSource('redis://127.0.0.1:9')));
  const budget = new SearchBudget({ clock, readsPerS: 1e6 });
  const places = new Places({ log: { read: (...asked) => log.read(...asked) }, dialect, clock, budget });
  await bridged(log, 'acme', 1001, 2000);
  expect(await places.place('acme', '500', 'ann')).toBe('unknown-cursor');
  log = createMemoryLog(options);
  await bridged(log, 'acme', 1, 1000);
  clock.advance(250);
  expect(await places.place('acme', '500', 'ann')).toMatchObject({ seq: 500 });
});

it('reads no page for a cursor from before what the log has', async () => {
  const { log, places, costOf } = openPlaces('integer');
  await bridged(log, 'acme', 1001, 11_000);
  await places.place('acme', '1', 'ann');
  const others = Array.from({ length: 200 }, (_, at) => String(at + 2));
  expect(await costOf(() => Promise.all(others.map((id) => places.place('acme', id, 'ann'))))).toBe(200);
});

it('bounds what one user, one org and a node look for, and goes on after a while', async () => {
  const { clock, log, places, costOf } = openPlaces('string', 300);
  for (const org of ['acme', 'globex']) await bridged(log, org, 1, 6000, named);
  const made = (count: number, org: string, user: (at: number) => string) => async () => {
    for (let at = 0; at < count; at += 1) await places.place(org, `made-up-${user(at)}-${at}`, user(at));
  };
  // A search of this log costs 26: ten seconds' worth of a user is 200, of an org 1,000.
  expect(await costOf(made(100, 'acme', () => 'mallory'))).toBeLessThanOrEqual(200 + 26);
  expect(await places.place('acme', named(6000), 'mallory')).toBe('search-limit');
  expect(await places.place('acme', named(6000), 'ann')).toMatchObject({ seq: 6000 });
  expect(await costOf(made(300, 'acme', (at) => `m${at}`))).toBeLessThanOrEqual(1000);
  expect(await places.place('acme', named(5999), 'ben')).toBe('search-limit');
  expect(await places.place('globex', named(5999), 'cis')).toMatchObject({ seq: 5999 });
  clock.advance(1000);
  expect(await places.place('acme', named(5999), 'ben')).toMatchObject({ seq: 5999 });
});

it('runs few searches of an org at a time, and the others after them', async () => {
  const { log, places, cost } = openPlaces('integer');
  await bridged(log, 'acme', 1, 6000);
  const asked = Array.from({ length: 100 }, (_, at) => places.place('acme', String(at * 50 + 1), `u${at}`));
  expect((await Promise.all(asked)).filter((at) => typeof at === 'string')).toEqual([]);
  expect(cost.mostAtOnce).toBeLessThanOrEqual(4);
});
