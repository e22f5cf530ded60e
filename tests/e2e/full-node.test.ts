/** A node that is full says so, to streams and polls alike, and serves those it has. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { metric, Publisher } from '../support/publisher.ts';
import type { ErrorAnswer } from '../support/http-client.ts';
import { StreamClient, openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_MAX_CONNECTIONS: '1', TURNOUT_MAX_HELD_POLLS: '1' });
});
afterAll(() => gateway.kill());

it('closes one stream too many with 1013 overloaded', async () => {
  const token = await makeToken();
  const first = await openStream(gateway.url, token, ['chat']);
  const second = new StreamClient(gateway.url, { token, first: { services: ['chat'], version: 1 } });
  expect(await second.nextClose()).toEqual({ code: 1013, reason: 'overloaded' });
  expect(first.closed).toBeUndefined();
  first.destroy();
});

it('answers one held poll too many 503 overloaded, with Retry-After', async () => {
  const token = await makeToken();
  const { cursor } = (await poll(gateway.url, token, { services: 'chat' })).body;
  const held = poll(gateway.url, token, { services: 'chat', cursor, wait: 30 });
  await until(() => metric(gateway.url, 'turnout_polls_held'), 'the held poll', 1);
  const refused = await poll<ErrorAnswer>(gateway.url, token, { services: 'chat', cursor, wait: 30 });
  expect(refused.status).toBe(503);
  expect(refused.body.error.code).toBe('overloaded');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  await new Publisher(gateway.url).publish({ service: 'chat' });
  expect((await held).status).toBe(200);
});
