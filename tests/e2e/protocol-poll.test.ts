/** Protocol 7 and 11, sentence by sentence, seen from outside. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pollBodySchema } from '../../schema/http.ts';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { PollClient, type PollParams, poll } from '../support/poll-client.ts';
import { metric, Publisher, publishRaw, seqs } from '../support/publisher.ts';
import { makeProducerToken, makeShortToken, makeToken } from '../support/token-maker.ts';
import { sleep, until, within } from '../support/until.ts';

let gateway: Gateway;
let orgs = 0;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_RETENTION_EVENTS: '500' });
});
afterAll(() => gateway.kill());

const newOrg = (): Publisher => new Publisher(gateway.url, `org-${(orgs += 1)}`);
const ask = async (publisher: Publisher, params: PollParams, sub = 'ann') =>
  poll(gateway.url, await makeToken({ org: publisher.org, sub }), { services: 'chat', ...params });
const keys = (body: object): string => Object.keys(body).join();

describe('a poll', () => {
  it('with neither cursor is answered at once with the head: from now on', async () => {
    const publisher = newOrg();
    await publisher.publishMany(3, 'chat');
    const answer = await within(ask(publisher, { wait: 60 }), 'the first answer');
    expect(answer.status).toBe(200);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(keys(answer.body)).toBe('events,cursor,seq,epoch,transport,assignment');
    expect(answer.body).toMatchObject({ events: [], seq: 3, transport: 'websocket' });
    expect(answer.body.cursor).toMatch(/^[A-Za-z0-9._~-]{1,96}$/);
    pollBodySchema.parse(answer.body);
    await publisher.publish({ service: 'chat' });
    expect(seqs((await ask(publisher, { cursor: answer.body.cursor })).body.events)).toEqual([4]);
  });

  it('is held until an event of its services comes, and brings it', async () => {
    const publisher = newOrg();
    const { cursor } = (await ask(publisher, {})).body;
    let isHeld = true;
    const held = ask(publisher, { cursor, wait: 30 }).finally(() => {
      isHeld = false;
    });
    await sleep(150);
    await publisher.publish({ service: 'finance' });
    await sleep(150);
    expect(isHeld).toBe(true);
    await publisher.publish({ service: 'chat' });
    const { body } = await within(held, 'the held poll');
    expect(seqs(body.events)).toEqual([2]);
    expect(body.seq).toBe(2);
  });

  it('that nothing came for is 200 with a cursor that moved on', async () => {
    const publisher = newOrg();
    const { cursor } = (await ask(publisher, {})).body;
    await publisher.publishMany(4, 'finance');
    for (const wait of [0, 1]) {
      const { body } = await ask(publisher, { cursor, wait });
      expect(body).toMatchObject({ events: [], seq: 4 });
      expect(body.more).toBeUndefined();
      expect(body.cursor).not.toBe(cursor);
    }
  });

  it('asked again with the same cursor brings the same, after the next one nothing twice [P5]', async () => {
    const publisher = newOrg();
    const { cursor } = (await ask(publisher, {})).body;
    await publisher.publishMany(5, 'chat');
    const [lost, again] = [await ask(publisher, { cursor }), await ask(publisher, { cursor })];
    expect(again.body.events).toEqual(lost.body.events);
    expect(seqs(again.body.events)).toEqual([1, 2, 3, 4, 5]);
    expect((await ask(publisher, { cursor: again.body.cursor, wait: 0 })).body.events).toEqual([]);
  });

  it('says more at its limit, with the cursor at the last event looked at', async () => {
    const publisher = newOrg();
    await publisher.publishMany(10, 'chat');
    const { body } = await ask(publisher, { cursor: 'earliest', limit: 4 });
    expect(body).toMatchObject({ more: true, seq: 4 });
    expect(seqs(body.events)).toEqual([1, 2, 3, 4]);
    const rest = await ask(publisher, { cursor: body.cursor, limit: 100 });
    expect(seqs(rest.body.events)).toEqual([5, 6, 7, 8, 9, 10]);
    expect(rest.body.more).toBeUndefined();
  });

  it('brings at most 1 MiB, and goes on behind it', async () => {
    const publisher = newOrg();
    for (let turn = 0; turn < 40; turn += 1)
      await publisher.publish({ service: 'chat', payload: { text: 'x'.repeat(60_000) } });
    const client = new PollClient(gateway.url, await makeToken({ org: publisher.org }), ['chat'], 'earliest');
    const answers = [
      await client.ask({ wait: 0 }),
      await client.ask({ wait: 0 }),
      await client.ask({ wait: 0 }),
    ];
    expect(answers[0]?.more).toBe(true);
    for (const answer of answers)
      expect(JSON.stringify(answer).length).toBeLessThanOrEqual(1024 * 1024 + 1024);
    expect(answers.flatMap(({ events }) => seqs(events))).toEqual(publisher.expected('ann', ['chat']));
    client.close();
  });

  it('takes lastSeq with or without the epoch', async () => {
    const publisher = newOrg();
    await publisher.publishMany(6, 'chat');
    const all = await ask(publisher, { lastSeq: 0 });
    expect(seqs(all.body.events)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seqs((await ask(publisher, { lastSeq: 4, epoch: all.body.epoch })).body.events)).toEqual([5, 6]);
    const other = await within(ask(publisher, { lastSeq: 4, epoch: 'other', wait: 30 }), 'the reset');
    expect(other.body).toMatchObject({ events: [], reset: { reason: 'epoch' }, seq: 6 });
  });

  it('is told expired at once where its place was trimmed, and earliest brings all that is kept', async () => {
    const publisher = newOrg();
    const { cursor } = (await ask(publisher, {})).body;
    await publisher.publishMany(700, 'chat');
    for (const start of [{ cursor }, { lastSeq: 0 }, { lastSeq: 20 }]) {
      const { body } = await within(ask(publisher, { ...start, wait: 30 }), 'the reset');
      expect(body).toMatchObject({ events: [], reset: { reason: 'expired' }, seq: publisher.head });
      await publisher.publish({ service: 'chat' });
      expect(seqs((await ask(publisher, { cursor: body.cursor })).body.events)).toEqual([publisher.head]);
    }
    const client = new PollClient(gateway.url, await makeToken({ org: publisher.org }), ['chat'], 'earliest');
    const kept = seqs(await client.drain());
    expect(kept).toEqual(publisher.expected('ann', ['chat']).slice(-kept.length));
    expect(kept.length).toBeGreaterThanOrEqual(500);
    client.close();
  });

  it('delivers events with `to` to their recipients alone, without `to`', async () => {
    const publisher = newOrg();
    const { cursor } = (await ask(publisher, {})).body;
    await publisher.publish({ service: 'chat' }, { service: 'chat', to: ['bob'] }, { service: 'chat' });
    expect(seqs((await ask(publisher, { cursor })).body.events)).toEqual([1, 3]);
    const bob = await ask(publisher, { cursor }, 'bob');
    expect(seqs(bob.body.events)).toEqual([1, 2, 3]);
    expect(bob.text).not.toContain('"to"');
  });

  it('brings ephemeral events beside the stored ones, live only', async () => {
    const publisher = newOrg();
    const { cursor } = (await ask(publisher, {})).body;
    const held = ask(publisher, { cursor, wait: 30 });
    // Lost where nobody listens: it must be held by then.
    await until(() => metric(gateway.url, 'turnout_polls_held'), 'the held poll', 1);
    await publisher.publish({ service: 'chat', type: 'typing', ephemeral: true });
    const { body } = await within(held, 'the held poll');
    expect(body.events).toEqual([]);
    expect(body.ephemeral).toMatchObject([{ service: 'chat', type: 'typing', payload: {} }]);
    expect(body.ephemeral?.[0]).not.toHaveProperty('seq');
    expect((await ask(publisher, { cursor: body.cursor, wait: 0 })).body).not.toHaveProperty('ephemeral');
  });

  it('that is held when its token expires is answered 200 without events, the next one 401', async () => {
    const publisher = newOrg();
    const token = await makeShortToken(2, { org: publisher.org });
    const { body } = await poll(gateway.url, token, { services: 'chat' });
    const held = await within(
      poll(gateway.url, token, { services: 'chat', cursor: body.cursor, wait: 60 }),
      'expiry',
    );
    expect(held.status).toBe(200);
    expect(held.body).toMatchObject({ events: [], cursor: expect.any(String) });
    expect((await poll(gateway.url, token, { services: 'chat', cursor: held.body.cursor })).status).toBe(401);
  });

  it('of an SDK that is due to move up is answered at once, once for each session and assignment', async () => {
    const publisher = newOrg();
    const { cursor, assignment } = (await ask(publisher, {})).body;
    const behind = { cursor, assignment: assignment - 1, session: 's-1', wait: 30 };
    const told = await within(ask(publisher, behind), 'the first');
    expect(told.body).toMatchObject({ events: [], transport: 'websocket', assignment });
    let isHeld = true;
    const second = ask(publisher, behind).finally(() => {
      isHeld = false;
    });
    await within(ask(publisher, { ...behind, session: 's-2' }), 'another session');
    expect(isHeld).toBe(true);
    await publisher.publish({ service: 'chat' });
    expect((await within(second, 'the second')).body.events).toHaveLength(1);
  });
});

describe('a publish', () => {
  const event = { service: 'chat', type: 'note', payload: {} };

  it('answers seqs and ids in order, and an id that was seen with its first seq', async () => {
    const publisher = newOrg();
    const answer = await publisher.publish(
      { service: 'a', id: 'x' },
      { service: 'a' },
      { service: 'a', id: 'x' },
    );
    expect(answer.results).toEqual([
      { seq: 1, id: 'x' },
      { seq: 2, id: expect.any(String) },
      { seq: 1, id: 'x', duplicate: true },
    ]);
    expect(answer.epoch).toBe((await ask(publisher, {})).body.epoch);
    const body = { ...event, org: publisher.org, id: 'x' };
    const again = await publishRaw(gateway.url, await makeProducerToken(), body);
    expect(again.body.results).toEqual([{ seq: 1, id: 'x', duplicate: true }]);
    const other = await publishRaw(gateway.url, await makeProducerToken({ sub: 'another' }), body);
    expect(other.body.results).toEqual([{ seq: 3, id: 'x' }]);
  });

  it('by an end user goes to its org with its sender', async () => {
    const publisher = newOrg();
    const token = await makeToken({ org: publisher.org, sub: 'bob', publish: ['chat'] });
    const answer = await call(`${gateway.url}/v2/realtime/publish`, { token, body: event });
    expect(answer.status).toBe(200);
    const { body } = await ask(publisher, { cursor: 'earliest' });
    expect(body.events).toMatchObject([{ seq: 1, sender: 'bob', service: 'chat' }]);
  });
});

it('health, readiness, unknown paths and wrong methods are answered as such', async () => {
  expect((await call(`${gateway.url}/healthz`)).status).toBe(200);
  expect((await call(`${gateway.url}/readyz`)).status).toBe(200);
  const nowhere = await call(`${gateway.url}/nowhere`);
  expect([nowhere.status, nowhere.body]).toMatchObject([
    404,
    { error: { code: 'not_found', retry: 'never' } },
  ]);
  expect((await call(`${gateway.url}/openapi.json`)).body).toMatchObject({
    openapi: expect.stringMatching(/^3\./),
  });
});
