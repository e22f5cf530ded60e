/** The SDK moved both ways, cut and drained, while events flow: what it hands over is what was published, in order, once. */
import { afterEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, createClient } from '../../clients/js/index.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, Publisher } from '../support/publisher.ts';
import { testRandom } from '../support/random.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

const services = ['finance', 'guest', 'staff', 'chat'];

interface Watched {
  readonly user: string;
  readonly client: Client;
  readonly wanted: readonly string[];
  readonly seqs: number[];
  readonly resets: string[];
  readonly problems: string[];
}

let gateway: Gateway | undefined;
let proxy: TcpProxy | undefined;
let crowd: Watched[] = [];

afterEach(async () => {
  for (const { client } of crowd) client.stop();
  crowd = [];
  await proxy?.close();
  await gateway?.kill();
  proxy = gateway = undefined;
});

function watch(
  url: string,
  user: string,
  wanted: readonly string[],
  token = makeToken({ sub: user }),
): Watched {
  const seqs: number[] = [];
  const resets: string[] = [];
  const problems: string[] = [];
  const client = createClient({
    url,
    token: () => token,
    services: wanted,
    WebSocket,
    onEvent: ({ seq = 0 }) => seqs.push(seq),
    onReset: (reason) => resets.push(reason),
    onError: ({ code, message }) => problems.push(`${code} ${message}`),
  });
  const watched = { user, client, wanted, seqs, resets, problems };
  crowd.push(watched);
  client.start();
  return watched;
}

const transports = (): string[] => crowd.map(({ client }) => client.state.transport ?? client.state.phase);
const describeCrowd = (): string =>
  crowd
    .map((one) =>
      JSON.stringify({ at: one.client.state, got: one.seqs.length, problems: one.problems.slice(-3) }),
    )
    .join('\n');

const allOn = (transport: string, withinMs = 15_000): Promise<void> =>
  until(
    () => transports().every((name) => name === transport),
    () => `everybody on ${transport}:\n${describeCrowd()}`,
    withinMs,
  );

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

async function expectComplete(publisher: Publisher): Promise<void> {
  await until(
    () => crowd.every(({ seqs, user, wanted }) => seqs.length >= publisher.expected(user, wanted).length),
    () => `every event of ${publisher.published.length}:\n${describeCrowd()}`,
    30_000,
  );
  // Whatever would come twice has time to.
  await sleep(300);
  for (const { seqs, user, wanted, resets } of crowd) {
    expect(seqs).toEqual(publisher.expected(user, wanted));
    expect(resets).toEqual([]);
  }
}

it('delivers every event once, in order, to clients that are moved both ways and cut at random', async () => {
  const random = testRandom('sdk-moves');
  gateway = await startGateway({ TURNOUT_KILL_WINDOW_MS: '500', TURNOUT_MOVE_WITHIN_MS: '1000' });
  proxy = await startProxy(gateway.url);
  const { url } = gateway;
  const publisher = new Publisher(url);
  for (let index = 0; index < 20; index += 1) watch(proxy.url, `user-${index}`, random.some(services));
  await allOn('websocket');

  let isOver = false;
  const publishing = publishUntil(
    publisher,
    () => isOver,
    () => random.pick(services),
  );
  let cuts = 0;
  const endMs = Date.now() + 12_000;
  while (Date.now() < endMs) {
    const action = random.int(0, 5);
    if (action === 0) await admin(url, 'POST', '/rollout/kill', { reason: 'test' });
    else if (action === 1) await admin(url, 'POST', '/rollout/unkill', { reason: 'test' });
    else if (action === 2) cuts += proxy.cut(0.3, () => random.next());
    else
      await admin(url, 'PUT', '/rollout/percent', { percent: random.pick([0, 10, 50, 100]), reason: 'test' });
    await sleep(random.int(50, 700));
  }
  await admin(url, 'POST', '/rollout/unkill', { reason: 'test' });
  await admin(url, 'PUT', '/rollout/percent', { percent: 100, reason: 'test' });
  await allOn('websocket', 30_000);
  isOver = true;
  await publishing;
  await expectComplete(publisher);

  const moves = crowd.reduce(
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
