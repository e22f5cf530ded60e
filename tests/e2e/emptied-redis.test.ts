/** A Redis that loses everything while the SDK stands between two transports, each of which speaks of another log. */
import { afterEach, expect, it } from 'vitest';
import { sessionsBodySchema } from '../../schema/admin.ts';
import { Crowd } from '../support/crowd.ts';
import { type Gateway, startReadyGateway } from '../support/node-process.ts';
import { admin, Publisher, seqs } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { sleep, until } from '../support/until.ts';

let redis: RedisServer | undefined;
let gateway: Gateway | undefined;
let proxy: TcpProxy | undefined;
const crowd = new Crowd();

afterEach(async () => {
  crowd.stop();
  await proxy?.close();
  await gateway?.kill();
  await redis?.stop();
});

/** How far each of ann's connections has been told, by transport. */
async function toldTo(url: string): Promise<Partial<Record<'websocket' | 'long-poll', number>>> {
  const { body } = await admin(url, 'GET', '/sessions?user=ann&org=acme');
  const { sessions } = sessionsBodySchema.parse(body);
  return Object.fromEntries(sessions.map(({ transport, seq }) => [transport, seq ?? -1]));
}

it('a client in the middle of a hand-over is told reset: epoch once, and has all that comes after it once', async () => {
  redis = await RedisServer.start();
  // Nobody on WebSocket: an explicit 0 would cap the node.
  gateway = await startReadyGateway({ TURNOUT_REDIS_URL: redis.url, REALTIME_ROLLOUT_PERCENT: undefined });
  proxy = await startProxy(gateway.url);
  const { url } = gateway;
  const before = new Publisher(url);
  await before.publishMany(5, 'finance');
  const places: number[] = [];
  const resets: string[] = [];
  const { client, events, states } = crowd.add(proxy.url, 'ann', ['finance'], {
    cursor: 'earliest',
    onReset(reason, { seq }) {
      resets.push(reason);
      places.push(seq);
    },
  });
  await until(() => events.length, 'the first events, by long-poll', 5);

  proxy.holdsStreams = true;
  await admin(url, 'PUT', '/rollout/percent', { percent: 100, reason: 'test' });
  await until(async () => (await toldTo(url)).websocket, 'the stream to be acknowledged, unheard', 5);
  await before.publishMany(1, 'finance');
  // The stream says it too, and is heard when its log is gone.
  await until(async () => (await toldTo(url)).websocket, 'the stream to have the event, unheard', 6);
  await until(() => events.length, 'the event by long-poll', 6);
  expect(client.state.phase).toBe('moving');

  await redis.client.flushall();
  const after = new Publisher(url);
  await after.publishMany(1, 'finance');
  await until(() => resets.length, 'the reset, by long-poll');
  proxy.holdsStreams = false;
  // For a moment: what the stream brings next is the lost log's, and not believed.
  await until(() => states.includes('live websocket'), 'the stream to have its turn');
  await after.publishMany(20, 'finance');
  await until(
    () => events.at(-1)?.seq,
    () => crowd.describe(),
    21,
  );
  const stats = { ...client.stats };
  // Whatever would come twice has time to.
  await sleep(300);

  expect(resets).toEqual(['epoch']);
  const [place = 0] = places;
  expect(seqs(events)).toEqual([1, 2, 3, 4, 5, 6, ...after.expected('ann', ['finance'], place)]);
  expect(client.stats).toEqual(stats);
});
