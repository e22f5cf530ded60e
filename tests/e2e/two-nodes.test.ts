/** Two gateways on one Redis are one: the same events, the same cursors, on either node, and through an outage of Redis. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll, PollClient } from '../support/poll-client.ts';
import { Publisher, publishRaw, seqs } from '../support/publisher.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';
import { openStream, type StreamClient } from '../support/stream-client.ts';
import { makeProducerToken, makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

interface Ready {
  readonly status: string;
  readonly log: { readonly up: boolean; readonly detail: string };
}

const ready = (gateway: Gateway) => call<Ready>(`${gateway.url}/readyz`);
const settings = (url: string) => ({ TURNOUT_REDIS_URL: url, TURNOUT_REDIS_TIMEOUT_MS: '1000' });

// The two parts share nothing; the tests of the first share its nodes.
describe.concurrent('two nodes on one Redis', () => {
  let redis: RedisServer;
  let nodeA: Gateway;
  let nodeB: Gateway;
  beforeAll(async () => {
    redis = await RedisServer.start({ appendOnly: true });
    [nodeA, nodeB] = await Promise.all([
      startGateway(settings(redis.url)),
      startGateway(settings(redis.url)),
    ]);
    // It listens before it has read the rules: until then everybody is on long-poll.
    for (const node of [nodeA, nodeB])
      await until(async () => (await ready(node)).status, 'both nodes ready', 200);
  }, 240_000);
  afterAll(async () => {
    await Promise.all([nodeA.kill(), nodeB.kill()]);
    await redis.stop();
  });

  /** A poller on node A that goes on asking, and keeps what it was given. */
  async function pollOn(org: string, services: readonly string[]) {
    const token = await makeToken({ org });
    const { body } = await poll(nodeA.url, token, {
      services: services.join(','),
      cursor: 'earliest',
      wait: 0,
    });
    const client = new PollClient(nodeA.url, token, services, body.cursor);
    const seen = seqs(body.events);
    const state = { isDone: false, resets: 0 };
    const polling = (async () => {
      while (!state.isDone) {
        const answer = await client.ask({ wait: 1 });
        if (answer.reset !== undefined) state.resets += 1;
        seen.push(...seqs(answer.events));
      }
    })();
    const stop = async () => {
      state.isDone = true;
      await polling;
      client.close();
    };
    return { client, seen, state, stop };
  }

  const streamOn = async (gateway: Gateway, org: string, first = {}): Promise<StreamClient> =>
    openStream(gateway.url, await makeToken({ org }), ['finance', 'chat'], first);

  it.sequential('deliver what either was given, in one order, and take each other’s cursors', async () => {
    const org = 'either';
    const stream = await streamOn(nodeB, org);
    const poller = await pollOn(org, ['finance', 'chat']);
    const [viaA, viaB] = [new Publisher(nodeA.url, org), new Publisher(nodeB.url, org)];
    for (let turn = 0; turn < 20; turn += 1) {
      await viaA.publish({ service: 'finance' }, { service: 'chat' });
      await viaB.publish({ service: 'chat' });
    }
    const all = Array.from({ length: 60 }, (_, index) => index + 1);
    expect([...viaA.published, ...viaB.published].map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(
      all,
    );
    expect(seqs(await stream.nextEvents(60))).toEqual(all);
    await until(() => poller.seen.length >= 60);
    expect(poller.seen).toEqual(all);

    // Each cursor of the stream on B, on the other transport and node: exactly the rest.
    for (const frame of stream.ofType('event').slice(0, 5)) {
      const other = new PollClient(nodeA.url, await makeToken({ org }), ['finance', 'chat'], frame.cursor);
      expect(seqs(await other.drain())).toEqual(all.slice(frame.seq));
      other.close();
    }
    // The poll's cursor on A, as a stream on B: taken before the event, which the poller may have sooner than we its answer.
    const { cursor } = poller.client;
    await viaA.publish({ service: 'finance' });
    const moved = await streamOn(nodeB, org, { cursor });
    await moved.nextEvents(1);
    expect(seqs(moved.events())[0]).toBeGreaterThan(60);
    await poller.stop();
    stream.destroy();
    moved.destroy();
  });

  it.sequential('lose nothing and reset nobody when Redis is killed and comes back with its file', async () => {
    const org = 'outage';
    const stream = await streamOn(nodeB, org);
    const poller = await pollOn(org, ['finance', 'chat']);
    const token = await makeProducerToken();
    const acknowledged: { id: string; seq: number }[] = [];
    let refused = 0;
    const publishing = (async () => {
      for (let n = 0; n < 60; n += 1) {
        const id = `p-${n}`;
        const event = { service: n % 2 === 0 ? 'finance' : 'chat', type: 't', payload: { n }, id };
        // The same id until it is acknowledged, on either node.
        for (let attempt = 0; ; attempt += 1) {
          const { url } = (n + attempt) % 2 === 0 ? nodeA : nodeB;
          const answer = await publishRaw(url, token, { org, events: [event] });
          if (answer.status === 200) {
            acknowledged.push({ id, seq: answer.body.results[0]?.seq ?? 0 });
            break;
          }
          expect(answer.status).toBe(503);
          refused += 1;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
    })();
    await until(() => acknowledged.length >= 20);
    await redis.kill();
    await until(() => refused > 0);
    await until(async () => (await ready(nodeA)).body.status === 'degraded');
    expect((await ready(nodeA)).status).toBe(200);
    await redis.restart();
    await publishing;
    await until(async () => (await ready(nodeA)).body.status === 'ok');

    const all = Array.from({ length: 60 }, (_, index) => index + 1);
    expect(acknowledged.map(({ seq }) => seq)).toEqual(all);
    await until(() => stream.events().length >= 60 && poller.seen.length >= 60);
    expect(seqs(stream.events())).toEqual(all);
    expect(stream.events().map(({ id }) => id)).toEqual(acknowledged.map(({ id }) => id));
    expect(poller.seen).toEqual(all);
    expect(stream.ofType('reset')).toEqual([]);
    expect(poller.state.resets).toBe(0);
    expect(stream.closed).toBeUndefined();
    await poller.stop();
    stream.destroy();
  });

  it.sequential('tell every reader reset, with a new epoch, when Redis comes back empty', async () => {
    const org = 'emptied';
    await new Publisher(nodeA.url, org).publish({ service: 'finance' }, { service: 'finance' });
    const stream = await streamOn(nodeB, org, { lastSeq: 0 });
    await stream.nextEvents(2);
    const poller = await pollOn(org, ['finance', 'chat']);
    await redis.restartEmpty();
    const reset = await stream.next('reset');
    expect(reset).toMatchObject({ reason: 'epoch', seq: 0 });
    await until(() => poller.state.resets > 0);
    await until(async () => (await ready(nodeA)).body.status === 'ok');
    await new Publisher(nodeA.url, org).publish({ service: 'finance', id: 'after' });
    await until(() => stream.events().at(-1)?.id === 'after');
    await until(() => poller.seen.at(-1) === 1);
    expect(poller.state.resets).toBe(1);
    await poller.stop();
    stream.destroy();
  });
});

describe.concurrent('a node that starts without its Redis', () => {
  it('names a wrong password in /readyz, and never tells it', async () => {
    const [right, wrong] = ['the-right-password', 'a-wrong-password'];
    const redis = await RedisServer.start();
    await redis.client.config('SET', 'requirepass', right);
    const url = `redis://:${wrong}@127.0.0.1:${redis.port}`;
    const gateway = await startGateway({ ...settings(url), TURNOUT_LOG_LEVEL: 'debug' });
    try {
      await until(async () => (await ready(gateway)).status, 'the node to serve', 200);
      const { body, text } = await ready(gateway);
      expect(body).toMatchObject({
        status: 'degraded',
        log: { up: false, detail: expect.stringContaining('refuses our password (WRONGPASS)') as string },
      });
      expect(text).not.toContain(wrong);
      expect(gateway.logs.some(({ msg }) => msg === 'a connection to Redis failed')).toBe(true);
      expect(JSON.stringify(gateway.logs)).not.toContain(wrong);

      await redis.client.config('SET', 'requirepass', wrong);
      await until(async () => (await ready(gateway)).body.status, 'the password to be right', 'ok');
    } finally {
      await gateway.kill();
      await redis.stop();
    }
  });
});

describe.concurrent('a node that starts while Redis is away', () => {
  it('serves, degraded, holds polls with a cursor, and works once Redis is there', async () => {
    const port = await freePort();
    const gateway = await startGateway(settings(`redis://127.0.0.1:${port}`));
    let redis: RedisServer | undefined;
    try {
      const token = await makeToken();
      // 503 at first: it may try for its rules before it says that it serves without.
      await until(async () => (await ready(gateway)).status, 'the node to serve', 200);
      const { status, body } = await ready(gateway);
      expect([status, body.status, body.log.up]).toEqual([200, 'degraded', false]);
      const refused = await publishRaw(gateway.url, await makeProducerToken(), {
        org: 'acme',
        events: [{ service: 'finance', type: 't', payload: {} }],
      });
      expect(refused.status).toBe(503);
      expect(refused.body).toMatchObject({ error: { code: 'log_unavailable', retry: 'backoff' } });
      const cursor = '1.epoch1234567.1.1.tagtag12';
      const asked = performance.now();
      const held = await poll(gateway.url, token, { services: 'finance', cursor, wait: 1 });
      expect(performance.now() - asked).toBeGreaterThan(900);
      expect([held.status, held.body.cursor, held.body.events]).toEqual([200, cursor, []]);
      expect((await poll(gateway.url, token, { services: 'finance', wait: 1 })).status).toBe(503);
      const stream = await openStream(gateway.url, token, ['finance']).catch((error: unknown) =>
        String(error),
      );
      // Without rules nobody is assigned a stream; with those it held, it can't be placed.
      expect(stream).toMatch(/1013 log_unavailable|4410 transport_not_assigned/);

      redis = await RedisServer.start({ port });
      await until(async () => (await ready(gateway)).body.status === 'ok');
      const live = await openStream(gateway.url, token, ['finance']);
      await new Publisher(gateway.url).publish({ service: 'finance' });
      expect(seqs(await live.nextEvents(1))).toEqual([1]);
      live.destroy();
    } finally {
      await gateway.kill();
      await redis?.stop();
    }
  });
});
