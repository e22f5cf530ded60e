/** A URL that names a database: what is in it is this fleet's alone, and one that isn't there is never another instead. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { admin, metric, publishRaw } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { makeProducerToken, makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

interface Ready {
  readonly status: string;
  readonly log: { readonly up: boolean; readonly detail: string };
}

let redis: RedisServer;
let gateways: Gateway[] = [];
const node = async (database: number): Promise<Gateway> => {
  const gateway = await startGateway({ TURNOUT_REDIS_URL: `${redis.url}/${database}` });
  gateways.push(gateway);
  return gateway;
};
const ready = async ({ url }: Gateway) => (await call<Ready>(`${url}/readyz`)).body;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.kill()));
  gateways = [];
  await redis.stop();
});

it('keeps the fleets of two databases apart: rules, events, and what is not stored', async () => {
  const [zero, one, alsoOne] = await Promise.all([node(0), node(1), node(1)]);
  for (const gateway of gateways) await until(async () => (await ready(gateway)).status, 'ready', 'ok');
  const [token, producer] = [await makeToken(), await makeProducerToken()];
  const hold = async ({ url }: Gateway) => {
    const { cursor } = (await poll(url, token, { services: 'chat' })).body;
    return { answer: poll(url, token, { services: 'chat', cursor, wait: 30 }) };
  };
  const typing = { org: 'acme', service: 'chat', type: 'typing', payload: {}, ephemeral: true };
  const said = { org: 'acme', service: 'chat', type: 'said', payload: {} };
  const [atZero, atOne] = [await hold(zero), await hold(alsoOne)];
  await until(() => metric(zero.url, 'turnout_polls_held'), 'the poll at 0', 1);
  await until(() => metric(alsoOne.url, 'turnout_polls_held'), 'the poll at 1', 1);
  await publishRaw(one.url, producer, typing);
  expect((await atOne.answer).body.ephemeral).toHaveLength(1);
  await publishRaw(zero.url, producer, said);
  const { events, ephemeral } = (await atZero.answer).body;
  expect({ events: events.length, ephemeral }).toEqual({ events: 1, ephemeral: undefined });

  const percentOf = async ({ url }: Gateway) => (await admin(url, 'GET', '/rollout')).body['percent'];
  await admin(one.url, 'PUT', '/rollout/percent', { percent: 30, reason: 'theirs' });
  await until(() => percentOf(alsoOne), 'the other node of theirs to hear of it', 30);
  // Behind theirs on the same server: what was to be heard of it has been.
  await admin(zero.url, 'PUT', '/rollout/enabled', { enabled: true, reason: 'ours' });
  expect(await percentOf(zero)).toBe(100);
});

it('stores nothing where the database that it names cannot be had', async () => {
  await redis.client.flushall();
  const lost = await node(99);
  expect((await ready(lost)).log).toMatchObject({ up: false, detail: expect.stringContaining('database') });
  const answer = await publishRaw(lost.url, await makeProducerToken(), {
    org: 'lost',
    service: 'chat',
    type: 'said',
    payload: {},
  });
  expect(answer.status).toBe(503);
  expect(await redis.client.keys('*{lost}*')).toEqual([]);
});
