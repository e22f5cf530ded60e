/** Bytes are shared by all who are given the same: what is one user's own must never be among them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PollBody } from '../../schema/http.ts';
import type { Answer } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { Publisher, admin, metric, seqs } from '../support/publisher.ts';
import { openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const services = 'chat';
let gateway: Gateway;
let orgs = 0;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.kill());
const newOrg = (): Publisher => new Publisher(gateway.url, `org-${(orgs += 1)}`);
const tokenOf = (publisher: Publisher, sub: string, more = {}): Promise<string> =>
  makeToken({ org: publisher.org, sub, publish: ['chat'], ...more });

/** Polls of these users, all held at the head; resolves once they are. */
async function hold(publisher: Publisher, users: readonly string[]): Promise<Promise<Answer<PollBody>>[]> {
  const { body } = await poll(gateway.url, await tokenOf(publisher, 'ann'), { services });
  const tokens = await Promise.all(users.map((user) => tokenOf(publisher, user)));
  const held = tokens.map((token) => poll(gateway.url, token, { services, cursor: body.cursor, wait: 10 }));
  await until(
    () => metric(gateway.url, 'turnout_polls_held'),
    'the polls to be held',
    (seen) => seen === users.length,
  );
  return held;
}

describe('held polls of several users', () => {
  it('are each answered with their own events and the shared ones', async () => {
    const publisher = newOrg();
    const held = await hold(publisher, ['ann', 'bob', 'cid']);
    await publisher.publish(
      { service: 'chat' },
      { service: 'chat', to: ['ann'] },
      { service: 'chat', to: ['bob'] },
      { service: 'chat' },
    );
    const answers = await Promise.all(held);
    expect(answers.map(({ body }) => seqs(body.events))).toEqual([
      [1, 2, 4],
      [1, 3, 4],
      [1, 4],
    ]);
  });

  it('are each told the transport that they are due', async () => {
    const publisher = newOrg();
    const denied = { users: [`${publisher.org}/bob`], reason: 'test' };
    expect((await admin(gateway.url, 'PUT', '/rollout/denylist', denied)).status).toBe(200);
    const held = await hold(publisher, ['ann', 'bob', 'ann']);
    await publisher.publish({ service: 'chat' });
    const answers = await Promise.all(held);
    expect(answers.map(({ body }) => body.transport)).toEqual(['websocket', 'long-poll', 'websocket']);
  });
});

describe('ephemeral events', () => {
  it('with `to` reach their recipients alone, on both transports', async () => {
    const publisher = newOrg();
    const streams = await Promise.all(
      ['ann', 'bob'].map(async (user) => openStream(gateway.url, await tokenOf(publisher, user), ['chat'])),
    );
    const held = await hold(publisher, ['ann', 'bob']);
    await publisher.publish(
      { service: 'chat', ephemeral: true, payload: 'for ann', to: ['ann'] },
      { service: 'chat', ephemeral: true, payload: 'for all' },
    );
    const answers = await Promise.all(held);
    const ofPolls = answers.map(({ body }) => (body.ephemeral ?? []).map(({ payload }) => payload));
    await until(() => streams.every((stream) => stream.ofType('ephemeral').length > 0), 'the streams');
    const ofStreams = streams.map((stream) =>
      stream.ofType('ephemeral').flatMap((frame) => frame.events.map(({ payload }) => payload)),
    );
    const wanted = [['for ann', 'for all'], ['for all']];
    expect({ ofPolls, ofStreams }).toEqual({ ofPolls: wanted, ofStreams: wanted });
  });

  it('that repeat pass once a second', async () => {
    const publisher = newOrg();
    const stream = await openStream(gateway.url, await tokenOf(publisher, 'ann'), ['chat']);
    const typing = { service: 'chat', type: 'typing', ephemeral: true, payload: { user: 'bob' } };
    await publisher.publish(...Array.from({ length: 20 }, () => typing));
    await publisher.publish({ ...typing, payload: { user: 'cid' } });
    await until(() => stream.texts.some((text) => text.includes('cid')), 'the last of them');
    expect(stream.ofType('ephemeral').flatMap((frame) => frame.events).length).toBe(2);
    stream.destroy();
  });
});

it('frames of a stream are handled strictly in order, whatever each waits for', async () => {
  const publisher = newOrg();
  const stream = await openStream(gateway.url, await tokenOf(publisher, 'ann'), ['chat']);
  // The new token allows less: what is subscribed behind it is judged by it.
  stream.send({ type: 'auth', token: await tokenOf(publisher, 'ann', { services: ['chat'] }) });
  stream.send({ type: 'subscribe', services: ['finance'] });
  stream.send({ type: 'publish', id: 'p-1', service: 'chat', event: { type: 't', payload: 1 } });
  stream.send({ type: 'unsubscribe', services: ['chat'] });
  await stream.next('ack', 4);
  const told = stream.frames.map((frame) => frame.type).filter((type) => !['ping', 'event'].includes(type));
  expect(told).toEqual(['ack', 'ack', 'error', 'ack', 'published', 'ack']);
  stream.destroy();
});
