/** A cursor of the old API finds its place in the log, or is left to the old backend: never a place that lacks something. */
import { describe, expect, it } from 'vitest';
import { profileSchema } from '../../../schema/profile.ts';
import { systemClock } from '../../../src/clock.ts';
import { placesFor } from '../../support/places.ts';
import { createDialect } from '../../../src/legacy/dialect/profile-dialect.ts';
import { prepareEvent } from '../../../src/log/entry.ts';
import type { EventLog } from '../../../src/log/event-log.ts';
import { createMemoryLog } from '../../../src/log/memory-log.ts';
import { testRandom } from '../../support/random.ts';

const logOf = (retentionEvents = 100_000): EventLog =>
  createMemoryLog({ clock: systemClock, retentionMs: 3_600_000, retentionEvents, retentionBytes: 1e9 });

function placesOf(log: Pick<EventLog, 'read'>, format: string): ReturnType<typeof placesFor> {
  const profile = profileSchema.parse({
    name: 'acme',
    match: { path: '/api/updates' },
    upstream: 'http://backend:3000',
    request: { cursor: { in: 'query', name: 'since', format }, services: { fixed: ['updates'] } },
    response: {
      idle: { status: 204 },
      events: { status: 200, body: { updates: '$events' } },
      event: { id: '$.id' },
    },
  });
  return placesFor(log, createDialect(profile));
}

async function append(log: EventLog, service: string, ...ids: string[]): Promise<void> {
  for (let from = 0; from < ids.length; from += 100) {
    const events = ids.slice(from, from + 100).map((id) => ({ service, type: 'note', payload: { id } }));
    await log.append(
      'acme',
      'test',
      events.map((event) => prepareEvent(event, event.payload.id)),
    );
  }
}

describe.each(['integer', 'string'])('a cursor of format %s', (format) => {
  it('stands behind the event that it names, wherever in the log, among other services', async () => {
    const random = testRandom(`places ${format}`);
    const log = logOf();
    const ids: string[] = [];
    for (let next = 1; ids.length < 1000; next += random.int(1, 3)) {
      ids.push(String(next));
      await append(log, 'updates', String(next));
      if (random.next() < 0.5)
        await append(log, 'chat', ...Array.from({ length: random.int(1, 9) }, () => systemClock.id()));
    }
    const places = placesOf(log, format);
    for (let tries = 0; tries < 60; tries += 1) {
      const at = random.int(0, ids.length - 1);
      const found = await places.find('acme', ids[at] ?? '');
      const after = await log.read(
        'acme',
        { at: 'cursor', position: found ?? { epoch: '', seq: 0, ms: 0, tag: '' } },
        {
          maxEvents: 10_000,
          maxBytes: 1e9,
        },
      );
      const rest =
        after.kind === 'page'
          ? after.entries
              .filter(({ service }) => service === 'updates')
              .map(({ json }) => (JSON.parse(json.toString()) as { id: string }).id)
          : [];
      expect(rest).toEqual(ids.slice(at + 1));
    }
  });

  it('is left to the old backend where the log never had it, or no longer has it', async () => {
    const log = logOf(200);
    await append(log, 'updates', ...Array.from({ length: 1000 }, (_, index) => String(index + 1)));
    const places = placesOf(log, format);
    expect(await places.find('acme', '1')).toBeUndefined();
    expect(await places.find('acme', '799')).toBeUndefined();
    expect(await places.find('acme', '1001')).toBeUndefined();
    expect((await places.find('acme', '1000'))?.seq).toBe(1000);
    expect((await places.find('acme', '900'))?.seq).toBe(900);
    expect(await places.find('nobody', '1')).toBeUndefined();
  });
});

it('places a number that the source left out between its neighbours, and one past the log nowhere', async () => {
  const log = logOf();
  await append(log, 'updates', '10', '20', '30');
  const places = placesOf(log, 'integer');
  expect((await places.find('acme', '25'))?.seq).toBe(2);
  expect(await places.find('acme', '5')).toBeUndefined();
  expect(await places.find('acme', '31')).toBeUndefined();
});

it('asks the log once for a crowd with one cursor, and not again', async () => {
  const log = logOf();
  await append(log, 'updates', ...Array.from({ length: 500 }, (_, index) => String(index + 1)));
  let reads = 0;
  const counting: Pick<EventLog, 'read'> = {
    read(...asked) {
      reads += 1;
      return log.read(...asked);
    },
  };
  const places = placesOf(counting, 'integer');
  const found = await Promise.all(Array.from({ length: 200 }, () => places.find('acme', '495')));
  expect(new Set(found.map((at) => at?.seq))).toEqual(new Set([495]));
  expect(reads).toBeLessThanOrEqual(2);
  await places.find('acme', '495');
  expect(reads).toBeLessThanOrEqual(2);
});
