/** Every way back to long-poll: streams are told, closed in their time, and their users go on by poll at the cursor. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NegotiateResponse } from '../../schema/http.ts';
import { type Answer, call } from '../support/http-client.ts';
import { type Gateway, type Settings, startGateway } from '../support/node-process.ts';
import { PollClient, poll } from '../support/poll-client.ts';
import { Publisher, admin, seqs } from '../support/publisher.ts';
import { StreamClient, openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until, within } from '../support/until.ts';

const services = ['finance', 'chat'];
const users = Array.from({ length: 12 }, (_, index) => `user-${index}`);
const moveWithinMs = 800;

let gateway: Gateway;
async function start(settings: Settings = {}): Promise<void> {
  gateway = await startGateway({
    TURNOUT_MOVE_WITHIN_MS: String(moveWithinMs),
    TURNOUT_KILL_WINDOW_MS: '200',
    TURNOUT_MOVE_RATE: '100000',
    TURNOUT_PING_MS: '500',
    ...settings,
  });
}
afterEach(() => gateway.kill());

const negotiate = async (user: string, body: object = {}): Promise<Answer<NegotiateResponse>> =>
  call<NegotiateResponse>(`${gateway.url}/v2/realtime/negotiate`, {
    method: 'POST',
    token: await makeToken({ sub: user }),
    body,
  });

async function change(method: string, path: string, body: object): Promise<void> {
  const answer = await admin(gateway.url, method, path, { reason: 'test', ...body });
  expect(answer.status, answer.text).toBe(200);
  expect(answer.body).toMatchObject({ written: true, laggards: [] });
}

const kill = (): Promise<void> => change('POST', '/rollout/kill', {});
const turnFlagOff = (): Promise<void> => change('PUT', '/rollout/enabled', { enabled: false });
const turnPercentTo0 = (): Promise<void> => change('PUT', '/rollout/percent', { percent: 0 });

async function expectRefused(user: string, code: string): Promise<void> {
  const client = new StreamClient(gateway.url, {
    token: await makeToken({ sub: user }),
    first: { services, version: 1 },
  });
  expect(await client.nextClose()).toEqual({ code: 4410, reason: code });
  expect(client.frames).toEqual([]);
}

/** Publishes until `isOver`, about 100 events a second. */
async function publishUntil(publisher: Publisher, isOver: () => boolean): Promise<void> {
  for (let turn = 0; !isOver(); turn += 1) {
    const service = services[turn % services.length] ?? '';
    await publisher.publish({ service }, { service, to: [users[turn % users.length] ?? ''] });
    await sleep(20);
  }
}

/** @returns the last moment when a stream had surely not been told: a test that stood still hears of it late. */
async function untilTold(stream: StreamClient): Promise<number> {
  // Two looks: the first after standing still comes before what has arrived meanwhile is read.
  let looked: readonly [number, number] = [performance.now(), performance.now()];
  await until(() => {
    if (stream.ofType('migrate').length > 0 || stream.closed !== undefined) return true;
    looked = [looked[1], performance.now()];
    return false;
  }, 'migrate');
  return looked[0];
}

/** Moves everybody off their streams by `rollBack`, under load, and proves that nobody lost or repeated an event. */
async function expectRolledBack(rollBack: () => Promise<void>, reason: string, code: string): Promise<void> {
  const publisher = new Publisher(gateway.url);
  await publisher.publishMany(5, 'finance');
  const begin = publisher.head;
  const readers = await Promise.all(
    users.map(async (user) => {
      const token = await makeToken({ sub: user });
      return { user, token, stream: await openStream(gateway.url, token, services) };
    }),
  );
  let isOver = false;
  const publishing = publishUntil(publisher, () => isOver);
  await Promise.all(readers.map(({ stream }) => stream.nextEvents(5)));
  const told = readers.map(({ stream }) => untilTold(stream));
  await rollBack();

  await Promise.all(
    readers.map(async ({ user, stream }, index) => {
      const untoldMs = (await told[index]) ?? Number.NaN;
      const order = await stream.next('migrate');
      expect(order).toMatchObject({ transport: 'long-poll', reason: expect.any(String) });
      expect(order.assignment).toBeGreaterThan((await stream.next('ack')).assignment);
      expect(await stream.nextClose()).toEqual({ code: 4410, reason: 'moved' });
      // Neither cut short nor left open: the frame said how long the old transport stays.
      expect(performance.now() - untoldMs, user).toBeGreaterThan(order.withinMs * 0.5);
      expect(stream.ofType('migrate')).toHaveLength(1);
    }),
  );
  await Promise.all(users.map((user) => expectRefused(user, code)));
  isOver = true;
  await publishing;
  for (const { user, token, stream } of readers) {
    const { body } = await negotiate(user, { current: 'websocket' });
    expect(body).toMatchObject({ transport: 'long-poll', reason });
    const client = new PollClient(gateway.url, token, services, stream.cursor);
    const received = [...seqs(stream.events()), ...seqs(await client.drain())];
    client.close();
    expect(received, user).toEqual(publisher.expected(user, services, begin));
  }
}

describe('with everybody on WebSocket', () => {
  beforeEach(() => start({ REALTIME_WHITELIST: 'vip' }));

  it('a kill moves every stream to long-poll, the allowlisted too, and loses nothing [P8]', async () => {
    const vip = await openStream(gateway.url, await makeToken({ sub: 'vip' }), services);
    await expectRolledBack(kill, 'kill-switch', 'kill_switch');
    expect(await vip.nextClose()).toEqual({ code: 4410, reason: 'moved' });
    await expectRefused('vip', 'kill_switch');

    await change('POST', '/rollout/unkill', {});
    expect((await negotiate('user-1')).body).toMatchObject({ transport: 'websocket', reason: 'rollout' });
    await openStream(gateway.url, await makeToken({ sub: 'user-1' }), services);
  });

  it('the flag turned off moves every stream to long-poll, the allowlisted too, and loses nothing', async () => {
    const vip = await openStream(gateway.url, await makeToken({ sub: 'vip' }), services);
    await expectRolledBack(turnFlagOff, 'flag-off', 'transport_not_assigned');
    expect(await vip.nextClose()).toEqual({ code: 4410, reason: 'moved' });
    await expectRefused('vip', 'transport_not_assigned');
  });

  it('percent 0 moves every stream but those of the allowlisted, and loses nothing', async () => {
    const vip = await openStream(gateway.url, await makeToken({ sub: 'vip' }), services);
    await expectRolledBack(turnPercentTo0, 'percent', 'transport_not_assigned');
    expect(vip.closed).toBeUndefined();
    expect(vip.ofType('migrate')).toEqual([]);
    expect((await negotiate('vip')).body).toMatchObject({ transport: 'websocket', reason: 'allowlist' });
    await openStream(gateway.url, await makeToken({ sub: 'vip' }), services);
  });

  it('the denylist moves its user alone', async () => {
    const [ann, bob] = await Promise.all(
      ['ann', 'bob'].map(async (sub) => openStream(gateway.url, await makeToken({ sub }), services)),
    );
    await change('PUT', '/rollout/denylist', { users: ['ann'] });
    expect(await ann?.nextClose()).toEqual({ code: 4410, reason: 'moved' });
    expect((await negotiate('ann')).body).toMatchObject({ transport: 'long-poll', reason: 'denylist' });
    expect(bob?.closed).toBeUndefined();
    expect(bob?.ofType('migrate')).toEqual([]);
  });

  it("answers an SDK's held poll when its user may move up, once, and leaves a legacy client's held", async () => {
    const token = await makeToken({ sub: 'ann' });
    await change('POST', '/rollout/kill', {});
    const { body } = await negotiate('ann', { session: 's-1' });
    expect(body).toMatchObject({ transport: 'long-poll', reason: 'kill-switch' });
    const cursor = body.cursor ?? '';
    const known = { services: 'chat', cursor, session: 's-1', assignment: body.assignment };
    const sdk = poll(gateway.url, token, { ...known, wait: 30 });
    let isLegacyHeld = true;
    const legacy = poll(gateway.url, token, { services: 'chat', cursor, wait: 30 }).finally(() => {
      isLegacyHeld = false;
    });
    await sleep(200);
    await change('POST', '/rollout/unkill', {});

    const told = await within(sdk, 'the answer of the held poll');
    expect(told.body).toMatchObject({ events: [], transport: 'websocket' });
    expect(told.body.assignment).toBeGreaterThan(body.assignment);
    const again = poll(gateway.url, token, { ...known, wait: 30 });
    await sleep(500);
    expect(isLegacyHeld).toBe(true);
    const publisher = new Publisher(gateway.url);
    await publisher.publish({ service: 'chat' });
    // Had the second been answered at once too, it would have come without the event.
    expect((await within(again, 'the second poll')).body.events).toHaveLength(1);
    expect((await within(legacy, 'the legacy poll')).body.events).toHaveLength(1);
    const due = await poll(gateway.url, token, {
      ...known,
      cursor: told.body.cursor,
      session: 's-2',
      wait: 30,
    });
    expect(due.body.transport).toBe('websocket');
  });

  it('opens a stream with the ticket of a negotiation, and refuses that ticket while killed', async () => {
    const { body } = await negotiate('ann', { session: 's-1' });
    const options = { path: body.urls.websocket, first: { services, version: 1 } };
    await new StreamClient(gateway.url, options).next('ack');
    await change('POST', '/rollout/kill', {});
    expect(await new StreamClient(gateway.url, options).nextClose()).toEqual({
      code: 4410,
      reason: 'kill_switch',
    });
  });
});

describe('started with a capped node', () => {
  it.each([
    { REALTIME_STREAMING_V2: 'false', REALTIME_ROLLOUT_PERCENT: '100' },
    { REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '0' },
  ])('%o serves long-poll only and says why', async (settings) => {
    await start({ ...settings, REALTIME_WHITELIST: 'vip' });
    for (const user of ['ann', 'vip']) {
      await expectRefused(user, 'node_capped');
      expect((await negotiate(user)).body).toMatchObject({ transport: 'long-poll', reason: 'node-capped' });
      const answer = await poll(gateway.url, await makeToken({ sub: user }), { services: 'chat', wait: 0 });
      expect(answer.body).toMatchObject({ events: [], transport: 'long-poll' });
    }
    await change('PUT', '/rollout/percent', { percent: 100 });
    await expectRefused('ann', 'node_capped');
    await change('POST', '/rollout/kill', {});
    await expectRefused('ann', 'kill_switch');
  });

  it('a start without either setting serves long-poll until an operator says otherwise', async () => {
    await start({ REALTIME_STREAMING_V2: undefined, REALTIME_ROLLOUT_PERCENT: undefined });
    await expectRefused('ann', 'transport_not_assigned');
    expect((await negotiate('ann')).body).toMatchObject({ transport: 'long-poll', reason: 'flag-off' });
    await change('PUT', '/rollout/enabled', { enabled: true });
    await change('PUT', '/rollout/percent', { percent: 100 });
    await openStream(gateway.url, await makeToken({ sub: 'ann' }), services);
  });
});
