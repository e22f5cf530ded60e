/** Readers with many sets of services and many limits: what they are given is made once, and is still their own. */
import { expect, it, onTestFinished } from 'vitest';
import type { Form } from '../../src/hub/chunk.ts';
import { Reader } from '../../src/hub/reader.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { pollForm } from '../../src/transports/poll-body.ts';
import { openLongPolls } from '../support/long-polls.ts';
import { until, within } from '../support/until.ts';

async function polls() {
  const node = await openLongPolls();
  onTestFinished(() => node.close());
  return node;
}

it('an event is encoded once for readers of 200 different sets of services', async () => {
  const node = await polls();
  const feed = await node.hub.acquire('acme');
  const inner = streamForm(1024);
  let encoded = 0;
  const form: Form = {
    ...inner,
    encode(...given) {
      encoded += 1;
      return inner.encode(...given);
    },
  };
  const given = new Set<Buffer>();
  let deliveries = 0;
  const readers = Array.from({ length: 200 }, (_, index) => {
    const services = new Set([
      'a',
      ...Array.from({ length: 8 }, (_each, bit) => `s${(index >> bit) & 1}-${bit}`),
    ]);
    const deliver = (parts: readonly { readonly bytes: Buffer }[]): void => {
      deliveries += 1;
      for (const { bytes } of parts) given.add(bytes);
    };
    const sink = { hasRoom: true, deliver, reset: () => {}, ephemeral: () => {}, fail: () => {} };
    return new Reader({ feed, clock: node.clock, position: feed.head, services, form, sub: 'ann', sink });
  });
  onTestFinished(() => {
    for (const reader of readers) reader.close();
    node.hub.release('acme');
  });
  await node.publish('a', 'x'.repeat(2000));
  await until(() => deliveries, 'all deliveries', 200);
  expect([encoded, given.size]).toEqual([1, 1]);
});

it('one answer is written for held polls of 300 limits and 8 sets of services that are given the same', async () => {
  const node = await polls();
  const asked = Array.from({ length: 300 }, (_, index) =>
    node.ask({
      sub: `u${index}`,
      limit: index + 1,
      services: ['a', ...['x', 'y', 'z'].filter((_each, bit) => (index >> bit) & 1)],
    }),
  );
  await until(() => node.traffic.pollsHeld, 'all held', 300);
  await node.publish('a', 'the same for all');
  const answers = await within(Promise.all(asked), 'the answers');
  expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
});

it('1,000 limits are few groups, and each poll still has exactly its own', async () => {
  const node = await polls();
  expect(new Set(Array.from({ length: 1000 }, (_, index) => pollForm(index + 1).name)).size).toBeLessThan(10);
  for (let index = 0; index < 1100; index += 1) await node.publish();
  const start = { at: 'earliest' } as const;
  for (const limit of [1, 2, 7, 10, 11, 99, 100, 101, 499, 500, 501, 1000]) {
    const first = await node.poll({ limit, start });
    expect(first.events.map(({ id }) => id)).toEqual(
      Array.from({ length: limit }, (_, index) => `id-${index + 1}`),
    );
    expect([first.seq, first.more]).toEqual([limit, true]);
    const next = await node.poll({ limit, start: { at: 'lastSeq', seq: first.seq } });
    expect(next.events[0]?.id).toBe(`id-${limit + 1}`);
  }
});

it('sets of services that overlap are each given their own events, however many share a turn', async () => {
  const node = await polls();
  const services = ['a', 'b', 'c', 'd'];
  const sets = Array.from({ length: 15 }, (_, index) =>
    services.filter((_each, bit) => ((index + 1) >> bit) & 1),
  );
  const published: string[] = ['a'];
  const asked = sets.flatMap((set) =>
    [3, 8, 500].map(async (limit) => {
      const { events } = await node.poll({ services: set, limit, sub: set.join(), waitMs: 30_000 });
      const theirs = published.flatMap((service, index) =>
        index > 0 && set.includes(service) ? [`id-${index + 1}`] : [],
      );
      expect(events.map(({ id }) => id)).toEqual(theirs.slice(0, events.length));
      return events.length;
    }),
  );
  await until(() => node.traffic.pollsHeld, 'all held', asked.length);
  // In one turn of the loop: all are cut from the same stretch.
  const all = Array.from({ length: 24 }, (_, index) => {
    const service = services[(index * 7) % 5 === 4 ? 0 : (index * 7) % 5] ?? 'a';
    published.push(service);
    return node.publish(service, index);
  });
  await Promise.all(all);
  expect((await within(Promise.all(asked), 'the answers')).every((count) => count > 0)).toBe(true);
});
