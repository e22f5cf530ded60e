/** Protocol 8, sentence by sentence, seen from outside: what the frames say, and in which order. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serverFrameSchema } from '../../schema/frames.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { PollClient, poll } from '../support/poll-client.ts';
import { Publisher, seqs } from '../support/publisher.ts';
import { type StreamClient, openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

let gateway: Gateway;
let orgs = 0;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_PING_MS: '500', TURNOUT_RETENTION_EVENTS: '500' });
});
afterAll(() => gateway.kill());

/** An org of its own for each test: seqs start at 1. */
const newOrg = (): Publisher => new Publisher(gateway.url, `org-${(orgs += 1)}`);
const tokenOf = (publisher: Publisher, sub = 'ann', claims: object = {}): Promise<string> =>
  makeToken({ org: publisher.org, sub, ...claims });
const open = async (
  publisher: Publisher,
  services: string[],
  first: Record<string, unknown> = {},
  sub = 'ann',
): Promise<StreamClient> => openStream(gateway.url, await tokenOf(publisher, sub), services, first);
const keys = (frame: object): string => Object.keys(frame).join();
const types = (client: StreamClient): string[] =>
  client.frames.map(({ type }) => type).filter((t) => t !== 'ping');

describe('ack', () => {
  it('is the first frame, at 0 in an empty log, with its fields in order', async () => {
    const client = await open(newOrg(), ['chat']);
    const ack = await client.next('ack');
    expect(keys(ack)).toBe('type,seq,cursor,epoch,timestamp,connection,pingMs,assignment');
    expect(ack).toMatchObject({ seq: 0, pingMs: 500 });
    expect(ack.assignment).toBeGreaterThan(0);
    expect(ack.cursor).toMatch(/^[A-Za-z0-9._~-]{1,96}$/);
    expect(client.frames[0]).toBe(ack);
  });

  it('stands at the head without a start, and at the start that was asked for', async () => {
    const publisher = newOrg();
    await publisher.publishMany(10, 'chat');
    expect((await (await open(publisher, ['chat'])).next('ack')).seq).toBe(10);
    const client = await open(publisher, ['chat'], { lastSeq: 4 });
    const ack = await client.next('ack');
    expect(ack.seq).toBe(4);
    expect(seqs(await client.nextEvents(6))).toEqual([5, 6, 7, 8, 9, 10]);
    const again = await open(publisher, ['chat'], { cursor: ack.cursor });
    expect((await again.next('ack')).seq).toBe(4);
    expect(seqs(await again.nextEvents(6))).toEqual([5, 6, 7, 8, 9, 10]);
    const ofEpoch = await open(publisher, ['chat'], { lastSeq: 9, epoch: ack.epoch });
    expect(seqs(await ofEpoch.nextEvents(1))).toEqual([10]);
  });

  it('stands at the head where the start is gone; errors of the first frame follow, then reset', async () => {
    const publisher = newOrg();
    await publisher.publishMany(600, 'chat');
    const token = await tokenOf(publisher, 'ann', { services: ['chat'] });
    for (const [start, reason] of [
      [{ lastSeq: 0 }, 'expired'],
      [{ lastSeq: 50 }, 'expired'],
      [{ lastSeq: 601 }, 'ahead'],
      [{ lastSeq: 599, epoch: 'another' }, 'epoch'],
    ] as const) {
      const client = await openStream(gateway.url, token, ['chat', 'finance'], start);
      const reset = await client.next('reset');
      expect(types(client)).toEqual(['ack', 'error', 'reset']);
      expect(keys(reset)).toBe('type,reason,seq,cursor,epoch');
      expect(reset).toMatchObject({ reason, seq: 600, cursor: (await client.next('ack')).cursor });
    }
    const client = await open(publisher, ['chat'], { lastSeq: 0 });
    await client.next('reset');
    await publisher.publish({ service: 'chat' });
    expect(seqs(await client.nextEvents(1))).toEqual([601]);
  });
});

describe('events', () => {
  it('come in seq order across services, each frame of one service, with the fields in order', async () => {
    const publisher = newOrg();
    const client = await open(publisher, ['a', 'b']);
    for (let turn = 0; turn < 20; turn += 1)
      await publisher.publish({ service: 'a' }, { service: 'a' }, { service: 'c' }, { service: 'b' });
    expect(seqs(await client.nextEvents(60))).toEqual(publisher.expected('ann', ['a', 'b']));
    for (const frame of client.ofType('event')) {
      expect(keys(frame)).toBe('type,service,events,seq,cursor');
      expect(new Set(frame.events.map(({ service }) => service))).toEqual(new Set([frame.service]));
      expect(frame.seq).toBe(frame.events.at(-1)?.seq);
      serverFrameSchema.parse(frame);
    }
  });

  it('never number more than 500 a frame', async () => {
    const publisher = newOrg();
    await publisher.publishMany(499, 'a');
    const client = await open(publisher, ['a'], { lastSeq: 0 });
    await publisher.publishMany(300, 'a');
    await client.nextEvents(799);
    for (const { events } of client.ofType('event')) expect(events.length).toBeLessThanOrEqual(500);
  });

  it('keep the order of the envelope and the fields that nobody knows', async () => {
    const publisher = newOrg();
    const client = await open(publisher, ['chat']);
    await publisher.publish({
      payload: { text: 'hi' },
      meta: { trace: 't-1' },
      in_reply_to: 'm-3',
      agent: 'real_estate',
      thread_id: 't-7',
      type: 'assistant_message',
      service: 'chat',
      id: 'e-1',
      colour: 'blue',
    });
    const [event] = await client.nextEvents(1);
    expect(event).toMatchObject({
      seq: 1,
      id: 'e-1',
      thread_id: 't-7',
      meta: { trace: 't-1' },
      colour: 'blue',
    });
    expect(keys(event ?? {}).replace(',colour', '')).toBe(
      'seq,id,service,type,timestamp,thread_id,agent,in_reply_to,meta,payload',
    );
  });

  it('with `to` reach their recipients alone, in their place, without `to`', async () => {
    const publisher = newOrg();
    const [ann, bob] = [await open(publisher, ['chat']), await open(publisher, ['chat'], {}, 'bob')];
    await publisher.publish({ service: 'chat' }, { service: 'chat', to: ['bob'] }, { service: 'chat' });
    expect(seqs(await ann.nextEvents(2))).toEqual([1, 3]);
    expect(seqs(await bob.nextEvents(3))).toEqual([1, 2, 3]);
    expect(bob.texts.join()).not.toContain('"to"');
    const cursor = (await open(publisher, ['chat'], { lastSeq: 0 })).nextEvents(2);
    expect(seqs(await cursor)).toEqual([1, 3]);
  });

  it('that are ephemeral come live, without seq, are counted by type, and are not stored', async () => {
    const publisher = newOrg();
    const client = await open(publisher, ['chat']);
    const typingSent = async (): Promise<number> => {
      const text = await (await fetch(`${gateway.url}/metrics`)).text();
      return Number(/^ws_frames_sent_total\{event="typing"\} (\d+)$/m.exec(text)?.[1]);
    };
    const before = await typingSent();
    const answer = await publisher.publish({ service: 'chat', type: 'typing', ephemeral: true });
    expect(answer.results).toEqual([{ id: expect.any(String) }]);
    const frame = await client.next('ephemeral');
    expect(keys(frame)).toBe('type,service,events');
    expect(Object.keys(frame.events[0] ?? {})).not.toContain('seq');
    expect(Object.keys(frame.events[0] ?? {})).not.toContain('ephemeral');
    expect((await typingSent()) - before).toBe(1);
    await publisher.publish({ service: 'chat' });
    const late = await open(publisher, ['chat'], { lastSeq: 0 });
    expect(seqs(await late.nextEvents(1))).toEqual([1]);
    expect(late.ofType('ephemeral')).toEqual([]);
  });
});

describe('ping', () => {
  it('comes as a frame and as a WebSocket ping, and keeps an idle cursor up', async () => {
    const publisher = newOrg();
    const client = await open(publisher, ['chat']);
    await publisher.publishMany(7, 'finance');
    await until(() => client.ofType('ping').some(({ seq }) => seq === 7), 'a ping at the head');
    const ping = client.ofType('ping').at(-1);
    expect(keys(ping ?? {})).toBe('type,timestamp,seq,cursor');
    await until(() => client.wirePings, 'a WebSocket ping');
    await publisher.publish({ service: 'chat' });
    const resumed = await open(publisher, ['chat'], { cursor: ping?.cursor });
    expect((await resumed.next('ack')).seq).toBe(7);
    expect(seqs(await resumed.nextEvents(1))).toEqual([8]);
  });

  it('drops a peer from which nothing comes for two rounds', async () => {
    const client = await open(newOrg(), ['chat']);
    const { connection } = await client.next('ack');
    client.pause();
    // Its own line: another that this process did not answer in time may have been dropped before.
    const isDropped = (): boolean =>
      gateway.logs.some(
        (line) =>
          line['connection'] === connection && line['reason'] === 'dead_peer' && line['code'] === 1006,
      );
    await until(isDropped, 'the close line of dead_peer');
    client.resume();
    expect((await client.nextClose()).code).toBe(1006);
  });

  it('may be answered by pong, with or without an audit', async () => {
    const client = await open(newOrg(), ['chat']);
    const { epoch } = await client.next('ack');
    client.send({ type: 'pong' });
    client.send({ type: 'pong', audit: { epoch, from: 0, to: 0, count: 0, sum: 0, repeats: 0 } });
    client.send({ type: 'pong', audit: 'all fine' });
    expect(await client.next('error')).toMatchObject({ code: 'bad_field' });
    expect(types(client)).toEqual(['ack', 'error']);
  });
});

describe('subscribe and unsubscribe', () => {
  it('change the set at the position that the ack names, one ack each, in order', async () => {
    const publisher = newOrg();
    const client = await open(publisher, ['a']);
    await publisher.publish({ service: 'a' }, { service: 'b' });
    await client.nextEvents(1);
    client.send({ type: 'subscribe', services: ['b'] });
    client.send({ type: 'unsubscribe', services: ['a'] });
    const joined = await client.next('ack', 2);
    expect(keys(joined)).toBe('type,seq,cursor,epoch,timestamp,connection,pingMs,assignment');
    expect(joined.seq).toBeGreaterThanOrEqual(1);
    await client.next('ack', 3);
    await publisher.publish({ service: 'a' }, { service: 'b' });
    await until(() => client.events().some(({ seq }) => seq === 4), 'the event of b');
    // Seq 2 is b's past when the ack stood at or behind it.
    expect(seqs(client.events())).toEqual(joined.seq >= 2 ? [1, 4] : [1, 2, 4]);
    expect(client.ofType('ack')).toHaveLength(3);
  });

  it('refuse a service outside the claim by an error before the ack', async () => {
    const publisher = newOrg();
    const token = await tokenOf(publisher, 'ann', { services: ['chat', 'chat/*'] });
    const client = await openStream(gateway.url, token, ['chat']);
    client.send({ type: 'subscribe', services: ['chat/1', 'finance', 'chats'] });
    await client.next('ack', 2);
    expect(types(client)).toEqual(['ack', 'error', 'error', 'ack']);
    expect(client.ofType('error').map(({ code, ref }) => `${code} ${ref}`)).toEqual([
      'service_forbidden finance',
      'service_forbidden chats',
    ]);
    await publisher.publish({ service: 'finance' }, { service: 'chat/1' });
    expect(seqs(await client.nextEvents(1))).toEqual([2]);
  });

  it('may leave an empty set, which goes on pinging and may grow again', async () => {
    const publisher = newOrg();
    const client = await open(publisher, ['a']);
    client.send({ type: 'unsubscribe', services: ['a'] });
    await client.next('ack', 2);
    await publisher.publish({ service: 'a' });
    await until(() => client.ofType('ping').some(({ seq }) => seq === 1), 'a ping at the head');
    client.send({ type: 'subscribe', services: ['a'] });
    await client.next('ack', 3);
    await publisher.publish({ service: 'a' });
    expect(seqs(await client.nextEvents(1))).toEqual([2]);
  });
});

it('a cursor of either transport resumes the other', async () => {
  const publisher = newOrg();
  const token = await tokenOf(publisher);
  const client = await open(publisher, ['chat']);
  await publisher.publishMany(5, 'chat');
  await client.nextEvents(5);
  const cursor = client.cursor ?? '';
  client.destroy();
  await publisher.publishMany(5, 'chat');
  const poller = new PollClient(gateway.url, token, ['chat'], cursor);
  expect(seqs((await poller.ask({ limit: 3 })).events)).toEqual([6, 7, 8]);
  const back = await open(publisher, ['chat'], { cursor: poller.cursor });
  expect(seqs(await back.nextEvents(2))).toEqual([9, 10]);
  await sleep(50);
  expect(back.events()).toHaveLength(2);
  expect(
    (await poll(gateway.url, token, { services: 'chat', cursor: back.cursor, wait: 0 })).body.events,
  ).toEqual([]);
});
