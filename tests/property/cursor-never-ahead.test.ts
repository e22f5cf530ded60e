/** P4 and protocol 8: a frame's cursor says that everything up to it was sent before. Resumes from every frame of a run. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { PollClient } from '../support/poll-client.ts';
import { Publisher, admin, seqs } from '../support/publisher.ts';
import { type Random, seededRandom, testRandom } from '../support/random.ts';
import { type StreamClient, openStream } from '../support/stream-client.ts';
import { byTier } from '../support/tier.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

const services = ['a', 'b', 'c', 'd/1'];
const users = ['ann', 'bob', 'cid'];

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway(
    { TURNOUT_PING_MS: '100', TURNOUT_MOVE_WITHIN_MS: '300', TURNOUT_KILL_WINDOW_MS: '0' },
    { from: 'source' },
  );
});
afterAll(() => gateway.kill());

/** Publishes what overruns a socket now and then, some of it for single users. */
async function publishRandomly(publisher: Publisher, random: Random): Promise<void> {
  for (let batch = 0; batch < 60; batch += 1) {
    await publisher.publish(
      ...Array.from({ length: random.int(1, 6) }, () => ({
        service: random.pick(services),
        payload: { text: 'x'.repeat(random.chance(0.1) ? random.int(10_000, 60_000) : random.int(0, 300)) },
        ...(random.chance(0.3) ? { to: [random.pick(users)] } : {}),
      })),
    );
    await sleep(random.int(0, 20));
  }
}

/** A reader that pauses now and then, so that pings overtake or wait for what is still to be read. */
async function pauseRandomly(client: StreamClient, random: Random, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await sleep(random.int(10, 150));
    client.pause();
    await sleep(random.int(0, 80));
    client.resume();
  }
}

async function resumeByPoll(token: string, own: string[], cursor: string, random: Random): Promise<number[]> {
  const client = new PollClient(gateway.url, token, own, cursor);
  const resumed = seqs(await client.drain(random.int(1, 200)));
  client.close();
  return resumed;
}

async function resumeByStream(token: string, own: string[], cursor: string, head: number): Promise<number[]> {
  const client = await openStream(gateway.url, token, own, { cursor });
  await until(() => client.ofType('ping').some(({ seq }) => seq >= head), 'a ping at the head');
  client.destroy();
  return seqs(client.events());
}

it.each(byTier([0, 1], [0, 1, 2, 3, 4]))(
  'resumes from every frame of run %i with nothing missing and nothing twice',
  async (run) => {
    const random = testRandom(`cursor-never-ahead ${run}`);
    const publisher = new Publisher(gateway.url, `org-${run}-${random.seed}`);
    await publisher.publishMany(random.int(1, 50), 'a');
    const [user, own, start] = [random.pick(users), random.some(services), publisher.head];
    const token = await makeToken({ sub: user, org: publisher.org });
    const reader = await openStream(gateway.url, token, own);

    let isOver = false;
    const pausing = pauseRandomly(reader, seededRandom(random.int(0, 1e9)), () => isOver);
    await publishRandomly(publisher, random);
    isOver = true;
    await pausing;
    // A kill in the middle of the reading adds `migrate` to the frames.
    expect((await admin(gateway.url, 'POST', '/rollout/kill', { reason: 'test' })).status).toBe(200);
    await reader.next('migrate');
    await reader.nextClose();
    expect((await admin(gateway.url, 'POST', '/rollout/unkill', { reason: 'test' })).status).toBe(200);

    const expected = publisher.expected(user, own, start);
    const received: number[] = [];
    let resumes = 0;
    for (const [index, frame] of reader.frames.entries()) {
      if (frame.type === 'event') received.push(...seqs(frame.events));
      if (!('cursor' in frame)) continue;
      const byStream = random.chance(0.15);
      const resumed = byStream
        ? await resumeByStream(token, own, frame.cursor, publisher.head)
        : await resumeByPoll(token, own, frame.cursor, random);
      resumes += 1;
      expect(
        [...received, ...resumed],
        `frame ${index}, ${frame.type}, by ${byStream ? 'stream' : 'poll'}`,
      ).toEqual(expected);
    }
    const types = [...new Set(reader.frames.map(({ type }) => type))];
    console.log(
      `cursor-never-ahead ${run}: ${resumes} resumes from ${reader.frames.length} frames (${types.join(', ')})`,
    );
    expect(types).toEqual(expect.arrayContaining(['ack', 'event', 'ping', 'migrate']));
  },
);
