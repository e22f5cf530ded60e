/** A user who is told "nothing new" keeps the old cursor, and what was looked through for them is not looked through again. */
import { expect, it } from 'vitest';
import { profileSchema } from '../../../schema/profile.ts';
import { systemClock } from '../../../src/clock.ts';
import { LegacyServe, type LegacyServeDeps } from '../../../src/legacy/serve/serve.ts';
import { userIdentity } from '../../../src/auth/identity.ts';
import { placesFor } from '../../support/places.ts';
import { createDialect } from '../../../src/legacy/dialect/profile-dialect.ts';
import type { Position } from '../../../src/log/cursor.ts';
import { prepareEvent } from '../../../src/log/entry.ts';
import { createMemoryLog } from '../../../src/log/memory-log.ts';
import { cutChunk, firstOf } from '../../../src/hub/chunk.ts';

const profile = profileSchema.parse({
  name: 'acme',
  match: { path: '/api/updates' },
  upstream: 'http://backend:3000',
  request: { cursor: { in: 'query', name: 'since', format: 'integer' }, services: { fixed: ['updates'] } },
  response: {
    idle: { status: 204 },
    events: { status: 200, body: { updates: '$events', next: '$cursor' } },
    event: { id: '$.id:number' },
  },
});

const callerOf = (user: string) =>
  userIdentity({ org: 'acme', sub: user, expiresAtMs: systemClock.now() + 60_000 });

it('goes on behind what was looked through for a user who was told nothing, and for that user alone', async () => {
  const bounds = { retentionMs: 3_600_000, retentionEvents: 1e6, retentionBytes: 1e9 };
  const log = createMemoryLog({ clock: systemClock, ...bounds });
  const event = { service: 'updates', type: 'note', payload: {} };
  await log.append('acme', 'bridge/acme', [prepareEvent(event, '1')]);
  const personal = Array.from({ length: 50 }, (_, at) =>
    prepareEvent({ ...event, to: ['cis'] }, String(at + 2)),
  );
  await log.append('acme', 'bridge/acme', personal);
  const { head } = await log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  const begun: Position[] = [];
  const state = { transport: 'long-poll', assignment: 1, reset: undefined, ephemeral: [] } as const;
  const longPoll: LegacyServeDeps['longPoll'] = {
    async hold({ start }) {
      if (start.at === 'cursor') begun.push(start.position);
      return { chunk: undefined, state: { ...state, at: head, hasMore: false } };
    },
  };
  const dialect = createDialect(profile);
  const places = placesFor(log, dialect);
  const serve = new LegacyServe({ dialect, places, longPoll, log, clock: systemClock, mayHold: () => true });
  const client = { network: undefined, isGone: false, onGone: () => () => undefined };
  for (const user of ['ann', 'ann', 'bob'])
    expect(await serve.answer(callerOf(user), { cursor: '1', waitMs: 0, limit: 10 }, client)).toMatchObject({
      isServed: true,
      answer: { status: 204 },
    });
  expect(begun.map(({ seq }) => seq)).toEqual([1, 51, 1]);
});

it.each<[number, object]>([
  [25_000, { why: 'reset', leftMs: 5000 }],
  [31_000, { why: 'reset', leftMs: 0 }],
  // As it came: nothing of it has gone by.
  [5, { why: 'reset' }],
])(
  'gives back what is left of the wait of a poll whose place was lost after %i ms',
  async (heldMs, given) => {
    const bounds = { retentionMs: 3_600_000, retentionEvents: 1e6, retentionBytes: 1e9 };
    const log = createMemoryLog({ clock: systemClock, ...bounds });
    await log.append('acme', 'bridge/acme', [
      prepareEvent({ service: 'updates', type: 'note', payload: {} }, '1'),
    ]);
    const { head } = await log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
    let nowMs = 0;
    const longPoll: LegacyServeDeps['longPoll'] = {
      async hold() {
        nowMs += heldMs;
        const state = { transport: 'long-poll', assignment: 1, reset: 'epoch', ephemeral: [] } as const;
        return { chunk: undefined, state: { ...state, at: head, hasMore: false } };
      },
    };
    const dialect = createDialect(profile);
    const places = placesFor(log, dialect);
    const clock = { now: () => systemClock.now(), monotonic: () => nowMs };
    const serve = new LegacyServe({ dialect, places, longPoll, log, clock, mayHold: () => true });
    const client = { network: undefined, isGone: false, onGone: () => () => undefined };
    const asked = { cursor: '1', waitMs: 30_000, limit: 10 };
    expect(await serve.answer(callerOf('ann'), asked, client)).toEqual({ isServed: false, ...given });
  },
);

/** Asks for what follows a cursor of a log whose events are of these instants; their ids count from 1. */
async function timed(
  instants: readonly number[],
): Promise<(cursor: string, limit: number) => Promise<unknown>> {
  const bounds = { retentionMs: 3_600_000, retentionEvents: 1e6, retentionBytes: 1e9 };
  const log = createMemoryLog({ clock: systemClock, ...bounds });
  const events = instants.map((at, index) =>
    prepareEvent({ service: 'updates', type: 'note', payload: { at } }, String(index + 1)),
  );
  await log.append('acme', 'bridge/acme', events);
  const longPoll: LegacyServeDeps['longPoll'] = {
    async hold({ start, services, form, limit }) {
      if (start.at !== 'cursor' || form === undefined) throw new Error('no place or form was given');
      const page = await log.read('acme', start, { maxEvents: 100, maxBytes: 1e6 });
      if (page.kind === 'reset') throw new Error(page.reason);
      const chunk = firstOf(cutChunk({ ...page, epoch: page.head.epoch }, services, form), limit, form);
      const hasMore = chunk.end.seq < page.head.seq;
      const state = { transport: 'long-poll', assignment: 1, reset: undefined, ephemeral: [] } as const;
      return { chunk, state: { ...state, at: chunk.end, hasMore } };
    },
  };
  const dialect = createDialect({
    ...profile,
    request: {
      ...profile.request,
      cursor: { ...profile.request.cursor, format: 'timestamp', value: '$.payload.at' },
    },
  });
  return async (cursor, limit) => {
    const places = placesFor(log, dialect);
    const serve = new LegacyServe({
      dialect,
      places,
      longPoll,
      log,
      clock: systemClock,
      mayHold: () => true,
    });
    const client = { network: undefined, isGone: false, onGone: () => () => undefined };
    const served = await serve.answer(callerOf('ann'), { cursor, waitMs: 0, limit }, client);
    return served.isServed ? JSON.parse(served.answer.body?.toString() ?? '') : served.why;
  };
}

it('ends no answer within an instant: elsewhere the rest of it would never come', async () => {
  const asked = await timed([1, 2, 2, 3, 3, 3]);
  expect(await asked('1', 3)).toEqual({ updates: [{ id: 2 }, { id: 3 }], next: 2 });
  expect(await asked('2', 3)).toEqual({ updates: [{ id: 4 }, { id: 5 }, { id: 6 }], next: 3 });
  expect(await asked('2', 2)).toBe('instant');
});

it('keeps no event from a client that stands before another instant than the one that is left for later', async () => {
  const asked = await timed([1, 5, 3, 5, 5]);
  expect(await asked('1', 3)).toEqual({ updates: [{ id: 2 }, { id: 3 }], next: 3 });
});
