/** The SDK moved both ways, cut and drained, while events flow: what it hands over is what was published, in order, once. */
import { afterEach, expect, it } from 'vitest';
import { Crowd } from '../support/crowd.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, Publisher } from '../support/publisher.ts';
import { testRandom } from '../support/random.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { sleep } from '../support/until.ts';

const services = ['finance', 'guest', 'staff', 'chat'];

let gateway: Gateway | undefined;
let proxy: TcpProxy | undefined;
const crowd = new Crowd();

afterEach(async () => {
  crowd.stop();
  await proxy?.close();
  await gateway?.kill();
  proxy = gateway = undefined;
});

/** 300 events a second in small batches, until told. */
async function publishUntil(publisher: Publisher, isOver: () => boolean, pick: () => string): Promise<void> {
  const startMs = Date.now();
  let sent = 0;
  while (!isOver()) {
    const due = Math.floor(((Date.now() - startMs) * 300) / 1000) - sent;
    const batch = Array.from({ length: Math.min(due, 100) }, () => ({ service: pick(), payload: { sent } }));
    if (batch.length > 0) await publisher.publish(...batch);
    sent += batch.length;
    await sleep(10);
  }
}

/** Each handed over what was published to its services: all of it, in order, once. */
async function expectComplete(publisher: Publisher): Promise<void> {
  const { received, expected } = await crowd.lists(publisher);
  expect(received).toEqual(expected);
}

it('delivers every event once, in order, to clients that are moved both ways and cut at random', async () => {
  const random = testRandom('sdk-moves');
  // A client that may not reconnect by itself would stay on long-poll after a cut, until the rules change again.
  gateway = await startGateway({
    WS_AUTORECONNECT: 'true',
    TURNOUT_KILL_WINDOW_MS: '500',
    TURNOUT_MOVE_WITHIN_MS: '1000',
  });
  proxy = await startProxy(gateway.url);
  const { url } = gateway;
  const publisher = new Publisher(url);
  for (let index = 0; index < 20; index += 1) crowd.add(proxy.url, `user-${index}`, random.some(services));
  await crowd.allOn('websocket');

  let isOver = false;
  const publishing = publishUntil(
    publisher,
    () => isOver,
    () => random.pick(services),
  );
  let cuts = 0;
  const endMs = Date.now() + 8_000;
  for (let step = 0; Date.now() < endMs; step += 1) {
    // One of each first: chance alone leaves one out now and then.
    const action = step < 4 ? step : random.int(0, 5);
    if (action === 0) await admin(url, 'POST', '/rollout/kill', { reason: 'test' });
    else if (action === 1) await admin(url, 'POST', '/rollout/unkill', { reason: 'test' });
    else if (action === 2) cuts += proxy.cut(0.3, () => random.next());
    else
      await admin(url, 'PUT', '/rollout/percent', { percent: random.pick([0, 10, 50, 100]), reason: 'test' });
    await sleep(random.int(50, 700));
  }
  await admin(url, 'POST', '/rollout/unkill', { reason: 'test' });
  await admin(url, 'PUT', '/rollout/percent', { percent: 100, reason: 'test' });
  await crowd.allOn('websocket');
  isOver = true;
  await publishing;
  await expectComplete(publisher);
  expect(crowd.members.flatMap(({ resets }) => resets)).toEqual([]);

  const moves = crowd.members.reduce(
    (sum, { client: { stats } }) => ({
      up: sum.up + stats.moves.up,
      down: sum.down + stats.moves.down,
      repeats: sum.repeats + stats.repeats,
      reconnects: sum.reconnects + stats.reconnects,
    }),
    { up: 0, down: 0, repeats: 0, reconnects: 0 },
  );
  console.log(`published ${publisher.published.length}, ${cuts} cuts, ${JSON.stringify(moves)}`);
  expect(moves.up).toBeGreaterThan(0);
  expect(moves.down).toBeGreaterThan(0);
  expect(cuts).toBeGreaterThan(0);
});
