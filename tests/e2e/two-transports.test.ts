/** One cursor, two transports: 200 readers that roam between them while one publisher goes on. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { Publisher } from '../support/publisher.ts';
import { seededRandom, testRandom } from '../support/random.ts';
import { type RoamingCounts, RoamingReader } from '../support/roaming-reader.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep } from '../support/until.ts';

const readerCount = 200;
const eventsPerSecond = 300;
const durationMs = 6000;
const batchEvents = 6;
const services = ['finance', 'guest', 'staff', 'chat', 'chat/thread-7', 'uploads', 'ops', 'news'];

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_PING_MS: '500' });
});
afterAll(() => gateway.kill());

it('delivers every event of its services once, in order, to each of 200 readers that switch transports [P1 P4]', async () => {
  const random = testRandom('two-transports');
  const counts: RoamingCounts = {
    polls: 0,
    streams: 0,
    switches: 0,
    lostAnswers: 0,
    cuts: 0,
    overlaps: 0,
    repeats: 0,
  };
  const publisher = new Publisher(gateway.url);
  const users = Array.from({ length: readerCount }, (_, index) => `user-${index}`);
  const readers = await Promise.all(
    users.map(async (user) => {
      const token = await makeToken({ sub: user });
      const own = seededRandom(random.int(0, 2 ** 32 - 1));
      return new RoamingReader(gateway.url, user, token, random.some(services), own, counts);
    }),
  );
  await Promise.all(readers.map((reader) => reader.start()));

  let isOver = false;
  const publishing = (async () => {
    const began = Date.now();
    // The rate is held by the clock: a slow answer is made up for.
    for (let sent = 0; sent < (eventsPerSecond * durationMs) / 1000; sent += batchEvents) {
      const dueMs = began + (sent * 1000) / eventsPerSecond;
      if (dueMs > Date.now()) await sleep(dueMs - Date.now());
      await publisher.publish(
        ...Array.from({ length: batchEvents }, () => ({
          service: random.pick(services),
          payload: { text: 'x'.repeat(random.chance(0.02) ? 3000 : random.int(1, 200)) },
          ...(random.chance(0.15) ? { to: Array.from({ length: 3 }, () => random.pick(users)) } : {}),
        })),
      );
    }
    isOver = true;
  })();
  await Promise.all([publishing, ...readers.map((reader) => reader.roam(() => isOver))]);

  const delivered = readers.reduce((sum, reader) => sum + reader.received.length, 0);
  console.log(
    `two-transports: ${publisher.published.length} published, ${delivered} delivered`,
    JSON.stringify(counts),
  );
  expect(
    readers.flatMap(({ user, faults }) => faults.map((fault) => `${user}: ${fault}`)).slice(0, 10),
  ).toEqual([]);
  for (const { user, services: own, received } of readers)
    expect(received, `${user} of ${own.join()}`).toEqual(publisher.expected(user, own));
  expect(counts.switches).toBeGreaterThan(readerCount);
  expect(counts.cuts).toBeGreaterThan(0);
  expect(counts.lostAnswers).toBeGreaterThan(0);
});
