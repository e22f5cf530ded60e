/** The shadow finds what is planted, names it, and finds nothing else. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { profileSchema } from '../../../schema/profile.ts';
import { systemClock } from '../../../src/clock.ts';
import type { LegacyAnswer } from '../../../src/legacy/dialect/dialect.ts';
import { placesFor } from '../../support/places.ts';
import { createDialect } from '../../../src/legacy/dialect/profile-dialect.ts';
import { Shadow } from '../../../src/legacy/shadow/shadow.ts';
import { prepareEvent } from '../../../src/log/entry.ts';
import type { EventLog } from '../../../src/log/event-log.ts';
import { createMemoryLog } from '../../../src/log/memory-log.ts';
import { testRandom } from '../../support/random.ts';

const secret = 'what-an-event-says';

const profile = profileSchema.parse({
  name: 'acme',
  match: { path: '/api/updates' },
  upstream: 'http://backend:3000',
  request: { cursor: { in: 'query', name: 'since', format: 'integer' }, services: { fixed: ['updates'] } },
  response: {
    idle: { status: 204 },
    events: { status: 200, body: { updates: '$events', next: '$cursor:number' } },
    event: { id: '$.id:number', kind: '$.type', data: '$.payload' },
  },
  shadow: { percent: 100, withinSeconds: 0.3, ignore: ['$.at'] },
});

interface OldEvent {
  readonly id: number;
  readonly kind: string;
  readonly data: object;
  readonly at?: number;
}

const eventOf = (id: number): OldEvent => ({
  id,
  kind: 'note',
  data: { text: `${secret} ${id}`, list: [id] },
});

/** As the old backend writes it, by hand. */
const answerOf = (events: readonly OldEvent[], next = events.at(-1)?.id): LegacyAnswer =>
  events.length === 0
    ? { status: 204, headers: {}, body: undefined }
    : {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify({ updates: events.map((event) => ({ at: 1, ...event })), next })),
      };

/** A log with every second number, so that the others are there to be missing. */
async function filledLog(count: number): Promise<EventLog> {
  const log = createMemoryLog({
    clock: systemClock,
    retentionMs: 3_600_000,
    retentionEvents: 1e6,
    retentionBytes: 1e9,
  });
  for (let from = 1; from <= count; from += 100)
    await log.append(
      'acme',
      'bridge/acme',
      Array.from({ length: 100 }, (_, index) => {
        const { id, kind, data } = eventOf((from + index) * 2);
        return prepareEvent({ service: 'updates', type: kind, payload: data }, String(id));
      }),
    );
  return log;
}

function shadowOf(log: EventLog, of = profile): Shadow {
  const dialect = createDialect(of);
  return new Shadow({ dialect, places: placesFor(log, dialect), log, clock: systemClock });
}

it('finds the dropped, the late, the reordered and the reshaped among 10,000 answers, and nothing else', async () => {
  const random = testRandom('shadow');
  const count = 1000;
  const shadow = shadowOf(await filledLog(count));
  const plants = ['missing', 'extra', 'order', 'shape', 'late'] as const;
  const planted = { missing: 0, extra: 0, order: 0, shape: 0, late: 0, unreadable: 0 };
  const one = async (index: number): Promise<void> => {
    const cursor = random.int(1, count - 10) * 2;
    const events = Array.from({ length: random.int(3, 6) }, (_, at) => eventOf(cursor + 2 * (at + 1)));
    const plant = index % 250 === 7 ? plants[Math.floor(index / 250) % plants.length] : undefined;
    if (plant !== undefined) planted[plant] += 1;
    if (plant === 'missing') events.splice(1, 0, eventOf(cursor + 3));
    if (plant === 'extra') events.splice(1, 1);
    if (plant === 'order') events.splice(0, 2, ...events.slice(0, 2).toReversed());
    if (plant === 'shape')
      events[1] = { ...(events[1] ?? eventOf(0)), data: { text: `${secret} altered`, list: [] } };
    const lateMs = plant === 'late' ? 60_000 : 0;
    const answeredMs = systemClock.now() - lateMs;
    const answer = answerOf(events);
    await shadow.watch({ org: 'acme', user: 'ann', cursor: String(cursor), answer, answeredMs });
  };
  let next = 0;
  // 40 at a time, and none waits for another's wait.
  const some = async (): Promise<void> => {
    while (next < 10_000) await one(next++);
  };
  await Promise.all(Array.from({ length: 40 }, some));

  const { compared, same, differences, examples, mostLateMs } = shadow.report.summary();
  expect(compared).toBe(10_000);
  expect(differences).toEqual(planted);
  expect(same).toBe(10_000 - 40);
  expect(mostLateMs).toBeGreaterThan(50_000);
  expect(examples.filter(({ kind }) => kind === 'shape').map(({ detail }) => detail)).toContain(
    '$.data.text',
  );
  expect(JSON.stringify(shadow.report.summary())).not.toContain(secret);
});

it('takes an idle answer for wrong only where the log had something for long, and not for this user alone', async () => {
  const log = await filledLog(100);
  await log.append('acme', 'bridge/acme', [
    prepareEvent({ service: 'updates', type: 'note', payload: {}, to: ['bob'] }, '202'),
  ]);
  const shadow = shadowOf(log);
  const idle = { org: 'acme', answer: answerOf([]) };
  const nowMs = systemClock.now();
  await shadow.watch({ ...idle, user: 'ann', cursor: '200', answeredMs: nowMs + 60_000 });
  await shadow.watch({ ...idle, user: 'ann', cursor: '198', answeredMs: nowMs });
  expect(shadow.report.summary()).toMatchObject({ compared: 2, same: 2 });
  await shadow.watch({ ...idle, user: 'bob', cursor: '200', answeredMs: nowMs + 60_000 });
  await shadow.watch({ ...idle, user: 'ann', cursor: '198', answeredMs: nowMs + 60_000 });
  expect(shadow.report.summary().differences.extra).toBe(2);
});

it('waits for a log that is a moment behind, and counts apart what it cannot compare', async () => {
  const log = await filledLog(100);
  const shadow = shadowOf(log);
  const answeredMs = systemClock.now();
  const watching = shadow.watch({
    org: 'acme',
    user: 'ann',
    cursor: '200',
    answer: answerOf([eventOf(202)]),
    answeredMs,
  });
  const { kind, data } = eventOf(202);
  await log.append('acme', 'bridge/acme', [
    prepareEvent({ service: 'updates', type: kind, payload: data }, '202'),
  ]);
  await watching;
  expect(shadow.report.summary()).toMatchObject({ compared: 1, same: 1 });

  const seen = { org: 'acme', user: 'ann', answeredMs };
  await shadow.watch({ ...seen, cursor: undefined, answer: answerOf([eventOf(4)]) });
  await shadow.watch({ ...seen, cursor: '1', answer: answerOf([eventOf(4)]) });
  const html = { status: 200, headers: {}, body: Buffer.from(`<p>${secret}</p>`) };
  await shadow.watch({ ...seen, cursor: '2', answer: html });
  const { skipped, differences, examples } = shadow.report.summary();
  expect(skipped).toMatchObject({ 'no-cursor': 1, 'unknown-cursor': 1 });
  expect(differences.unreadable).toBe(1);
  expect(JSON.stringify(examples)).not.toContain(secret);
});

it('reads what the old backend compressed, and unpacks no bomb', async () => {
  const shadow = shadowOf(await filledLog(100));
  const seen = { org: 'acme', user: 'ann', cursor: '2', answeredMs: systemClock.now() };
  const plain = answerOf([eventOf(4)]);
  const packed = (coding: string, body: Buffer): LegacyAnswer => ({
    ...plain,
    headers: { ...plain.headers, 'content-encoding': coding },
    body,
  });
  const body = plain.body ?? Buffer.from('');
  await shadow.watch({ ...seen, answer: packed('gzip', gzipSync(body)) });
  await shadow.watch({ ...seen, answer: packed('br', brotliCompressSync(body)) });
  await shadow.watch({ ...seen, answer: packed('Deflate', deflateSync(body)) });
  expect(shadow.report.summary()).toMatchObject({ compared: 3, same: 3 });
  await shadow.watch({ ...seen, answer: packed('gzip', gzipSync(Buffer.alloc(20_000_000))) });
  await shadow.watch({ ...seen, answer: packed('constructor', body) });
  await shadow.watch({ ...seen, answer: packed('gzip', body) });
  expect(shadow.report.summary().differences.unreadable).toBe(3);
});

it('tells a number that a double cannot hold from the text that the log has of it', async () => {
  const long = '12345678901234567890';
  const log = await filledLog(100);
  for (const id of [202, long])
    await log.append('acme', 'bridge/acme', [
      prepareEvent({ service: 'updates', type: 'note', payload: { of: id === long ? 1 : long } }, String(id)),
    ]);
  const shadow = shadowOf(log);
  const seen = { org: 'acme', user: 'ann', answeredMs: systemClock.now() };
  const answer = (event: string): LegacyAnswer => ({
    status: 200,
    headers: {},
    body: Buffer.from(`{"updates":[${event}],"next":202}`),
  });
  // An id of that length is written as it was.
  const own = answer(`{"id":${long},"kind":"note","data":{"of":1}}`);
  await shadow.watch({ ...seen, cursor: '202', answer: own });
  expect(shadow.report.summary()).toMatchObject({ compared: 1, same: 1 });
  const inside = answer(`{"id":202,"kind":"note","data":{"of":${long}}}`);
  await shadow.watch({ ...seen, cursor: '200', answer: inside });
  const { differences, examples } = shadow.report.summary();
  expect(differences.shape).toBe(1);
  expect(JSON.stringify(examples)).toContain('$.data.of');
});

it('compares 50 answers at a time, however many held polls are answered at once', async () => {
  const shadow = shadowOf(await filledLog(100));
  const answer = answerOf([eventOf(4)]);
  const seen = { org: 'acme', user: 'ann', cursor: '2', answer, answeredMs: systemClock.now() };
  await Promise.all(Array.from({ length: 200 }, () => shadow.watch(seen)));
  expect(shadow.report.summary()).toMatchObject({ compared: 50, same: 50 });
  await shadow.watch(seen);
  expect(shadow.report.summary().compared).toBe(51);
});

it('compares events that go through whole, and those of one instant each with its own', async () => {
  const whole = profileSchema.parse({
    ...profile,
    request: {
      ...profile.request,
      cursor: { in: 'query', name: 'since', format: 'timestamp', value: '$.payload.at' },
    },
    response: { ...profile.response, event: '$.payload', events: { status: 200, body: '$events' } },
    shadow: { percent: 100, withinSeconds: 0.3 },
  });
  const log = createMemoryLog({
    clock: systemClock,
    retentionMs: 3_600_000,
    retentionEvents: 1e6,
    retentionBytes: 1e9,
  });
  const payloads = [1, 2, 2, 2, 3].map((at, index) => ({ at, key: `k${index}` }));
  await log.append(
    'acme',
    'bridge/acme',
    payloads.map((payload) => prepareEvent({ service: 'updates', type: 'note', payload }, payload.key)),
  );
  const shadow = shadowOf(log, whole);
  const watch = (events: readonly object[]): Promise<void> =>
    shadow.watch({
      org: 'acme',
      user: 'ann',
      cursor: '1',
      answer: { status: 200, headers: {}, body: Buffer.from(JSON.stringify(events)) },
      answeredMs: systemClock.now(),
    });
  await watch(payloads.slice(1));
  expect(shadow.report.summary()).toMatchObject({ compared: 1, same: 1 });
  await watch([...payloads.slice(1, 4), { at: 2, key: 'another' }, ...payloads.slice(4)]);
  expect(shadow.report.summary()).toMatchObject({ compared: 2, same: 1, differences: { missing: 1 } });
});
