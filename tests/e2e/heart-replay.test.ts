/** A move resumes where the client stands: what it has is not sent again. Counted by the client and by the gateway. */
import { afterEach, expect, it } from 'vitest';
import { Crowd } from '../support/crowd.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric, Publisher } from '../support/publisher.ts';
import { until } from '../support/until.ts';

let gateway: Gateway | undefined;
const crowd = new Crowd();

afterEach(async () => {
  crowd.stop();
  await gateway?.kill();
});

it('replays nothing after a move, either way', async () => {
  gateway = await startGateway({ TURNOUT_KILL_WINDOW_MS: '200', WS_AUTORECONNECT: 'true' });
  const { url } = gateway;
  const publisher = new Publisher(url);
  await publisher.publishMany(50, 'finance');
  const { client, events, resets } = crowd.add(url, 'ann', ['finance'], { cursor: 'earliest' });
  await until(() => events.length, 'the events before the client came', 50);
  await crowd.allOn('websocket');
  await publisher.publishMany(50, 'finance');
  await publisher.publishMany(50, 'not-hers');
  await until(() => events.length, 'the events that came live', 100);
  const replayed = (): Promise<number> => metric(url, 'turnout_events_replayed_total');
  const before = await replayed();

  await admin(url, 'POST', '/rollout/kill', { reason: 'test' });
  await crowd.allOn('long-poll');
  await admin(url, 'POST', '/rollout/unkill', { reason: 'test' });
  await crowd.allOn('websocket');
  await publisher.publishMany(10, 'finance');
  await until(
    () => events.length,
    'the events after the moves',
    (seen) => seen >= 110,
  );
  expect(client.stats.moves).toEqual({ up: 1, down: 1, same: 0 });
  expect({ replayed: (await replayed()) - before, repeats: client.stats.repeats, resets }).toEqual({
    replayed: 0,
    repeats: 0,
    resets: [],
  });
});
