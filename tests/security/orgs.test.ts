/** An org is a wall: no cursor, no name and no `to` reaches over it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PollBody } from '../../schema/http.ts';
import { call, type ErrorAnswer } from '../support/http-client.ts';
import { openNode, type OwnNode } from '../support/own-node.ts';
import { poll } from '../support/poll-client.ts';
import { publishRaw } from '../support/publisher.ts';
import { openStream, type StreamClient } from '../support/stream-client.ts';
import { makeProducerToken, makeToken } from '../support/token-maker.ts';

let node: OwnNode;
/** Ann of either org: users of one name. */
let ours: string;
let theirs: string;
beforeAll(async () => {
  node = await openNode();
  [ours, theirs] = [await makeToken({ org: 'ours', publish: ['*'] }), await makeToken({ org: 'theirs' })];
  const token = await makeProducerToken();
  for (const [org, count] of [
    ['ours', 3],
    ['theirs', 5],
  ] as const)
    for (let turn = 0; turn < count; turn += 1)
      await publishRaw(node.url, token, { org, service: 'chat', type: 'secret', payload: `of ${org}` });
});
afterAll(() => node.drain());

const read = (token: string, params: Record<string, string | number>) =>
  poll<PollBody & ErrorAnswer>(node.url, token, { services: 'chat', wait: 0, ...params });
const payloads = (body: PollBody): unknown[] => body.events.map(({ payload }) => payload);

describe('a cursor of another org', () => {
  it.each(['cursor', 'epoch', 'lastSeq beyond our own'])(
    'by its %s reads nothing of that org',
    async (what) => {
      const { body: foreign } = await read(theirs, { cursor: 'earliest', limit: 1 });
      const params: Record<string, Record<string, string | number>> = {
        cursor: { cursor: foreign.cursor },
        epoch: { lastSeq: 1, epoch: foreign.epoch },
        'lastSeq beyond our own': { lastSeq: 4 },
      };
      const { body } = await read(ours, params[what] ?? {});
      expect(body.events).toEqual([]);
      expect(body.reset).toBeDefined();
      expect(body.epoch).not.toBe(foreign.epoch);
    },
  );

  it('does not move a stream there', async () => {
    const { body: foreign } = await read(theirs, { cursor: 'earliest', limit: 1 });
    const stream = await openStream(node.url, ours, ['chat'], { cursor: foreign.cursor });
    expect(await stream.next('reset')).toMatchObject({ reason: 'epoch' });
    expect(stream.events()).toEqual([]);
    stream.destroy();
  });

  it('with its epoch and tag put into one of ours is refused or reset', async () => {
    const [mine, foreign] = [
      (await read(ours, { cursor: 'earliest', limit: 1 })).body.cursor.split('.'),
      (await read(theirs, { cursor: 'earliest', limit: 1 })).body.cursor.split('.'),
    ];
    for (let at = 1; at < mine.length; at += 1) {
      const mixed = mine.with(at, foreign[at] ?? '').join('.');
      const { status, body } = await read(ours, { cursor: mixed });
      if (status !== 200) expect(body.error.code).toBe('bad_cursor');
      else expect(payloads(body).filter((payload) => payload !== 'of ours')).toEqual([]);
    }
  });
});

describe('what an org publishes', () => {
  let mine: StreamClient;
  let foreign: StreamClient;
  beforeAll(async () => {
    mine = await openStream(node.url, ours, ['chat']);
    foreign = await openStream(node.url, theirs, ['chat']);
  });
  afterAll(() => {
    mine.destroy();
    foreign.destroy();
  });

  it('to a user reaches that user of its own org, and nobody of the name elsewhere', async () => {
    const token = await makeProducerToken({ org: 'ours', orgs: ['ours'] });
    const { body: head } = await read(theirs, {});
    for (const to of [['ann'], ['theirs/ann', 'ann'], ['theirs:ann', '*', 'ann']]) {
      const answer = await publishRaw(node.url, token, { service: 'chat', type: 'note', payload: 1, to });
      expect([200, 400]).toContain(answer.status);
    }
    for (const ephemeral of [true, false])
      await publishRaw(node.url, token, {
        service: 'chat',
        type: 'last',
        payload: 2,
        to: ['ann'],
        ephemeral,
      });
    await mine.nextEvents(2);
    expect(foreign.events()).toEqual([]);
    expect(foreign.ofType('ephemeral')).toEqual([]);
    expect((await read(theirs, { cursor: head.cursor })).body.events).toEqual([]);
  });

  it('stays there, whatever org an event names', async () => {
    const event = { service: 'chat', type: 'note', payload: 1 };
    const own = await makeProducerToken({ org: 'ours', orgs: ['ours'] });
    const without = await makeToken({ org: 'ours', roles: ['producer'] });
    for (const token of [own, without])
      for (const body of [{ ...event, org: 'theirs' }, { events: [event, { ...event, org: 'theirs' }] }]) {
        const answer = await publishRaw<ErrorAnswer>(node.url, token, body);
        expect([400, 403]).toContain(answer.status);
      }
    const asUser = await call<ErrorAnswer>(`${node.url}/v2/realtime/publish`, {
      token: ours,
      body: { ...event, org: 'theirs' },
    });
    const { body } = await read(theirs, { cursor: 'earliest' });
    expect(payloads(body)).toEqual(Array.from({ length: 5 }, () => 'of theirs'));
    expect([200, 400, 403]).toContain(asUser.status);
  });
});
