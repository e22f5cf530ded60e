/** The SDK between a killed node and one that can't know: its luck is bad, and it tries the killed node once for all that. */
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { RolloutBody } from '../../schema/admin.ts';
import { Crowd } from '../support/crowd.ts';
import { call } from '../support/http-client.ts';
import { startGateway } from '../support/node-process.ts';
import { admin, Publisher } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { TcpLink } from '../support/tcp-link.ts';
import { until } from '../support/until.ts';

it('is refused once by a killed node, though every other answer says websocket', async () => {
  const redis = await RedisServer.start();
  const link = await TcpLink.open(redis.port);
  const crowd = new Crowd();
  const nodes = await Promise.all([
    startGateway({ TURNOUT_NODE_ID: 'killed', TURNOUT_REDIS_URL: link.url }),
    startGateway({ TURNOUT_NODE_ID: 'unknowing', TURNOUT_REDIS_URL: redis.url }),
  ]);
  try {
    const [killed, unknowing] = nodes;
    const rollout = async (): Promise<RolloutBody> =>
      (await admin<RolloutBody>(unknowing.url, 'GET', '/rollout')).body;
    const readyOf = async (url: string): Promise<string> =>
      (await call<{ status: string }>(`${url}/readyz`)).body.status;
    for (const { url } of nodes) await until(() => readyOf(url), 'a node to have its rules', 'ok');
    await until(async () => Object.keys((await rollout()).acks).length, 'the nodes to know each other', 2);
    link.cut();
    const { body } = await admin(killed.url, 'POST', '/rollout/kill', { reason: 'test' });
    expect(body).toMatchObject({ written: false });

    // A balancer at its unluckiest: negotiations and polls to the one, streams to the other.
    class ToTheKilled extends WebSocket {
      constructor(url: string) {
        super(url.replace(new URL(unknowing.url).host, new URL(killed.url).host));
      }
    }
    const { client, events } = crowd.add(unknowing.url, 'ann', ['chat'], { WebSocket: ToTheKilled });
    await crowd.allOn('long-poll');
    const publisher = new Publisher(unknowing.url);
    for (let told = 1; told <= 3; told += 1) {
      await publisher.publishMany(1, 'chat');
      await until(
        () => events.length,
        'the event that answers a poll',
        (seen) => seen === told,
      );
    }
    expect(client.stats).toMatchObject({ negotiations: 2, closes: { 4410: 1 } });
    expect(client.stats.opened).toEqual({ websocket: 1, 'long-poll': 1 });
    // Asked anew, as an SDK does every ten minutes: the same assignment is not tried again.
    client.start();
    await until(() => client.stats.negotiations === 3 && client.state.phase === 'live', 'the answer');
    expect(client.stats.opened).toEqual({ websocket: 1, 'long-poll': 1 });

    link.mend();
    await until(async () => (await rollout()).killed, 'the other node to hear of the kill');
    // Its log has a connection of its own: a stream that came before it was back would be closed with 1013.
    await until(() => readyOf(killed.url), 'the killed node to have its log back', 'ok');
    await admin(unknowing.url, 'POST', '/rollout/unkill', { reason: 'test' });
    await crowd.allOn('websocket');
    expect(client.stats.closes).toEqual({ 4410: 1 });
  } finally {
    crowd.stop();
    await Promise.all(nodes.map((node) => node.kill()));
    link.close();
    await redis.stop();
  }
});
