/** Protocol 4, 5 and 8 about one stream's life: who may open it, renewal, publishing, compression, limits, counts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NegotiateResponse, NodeMetrics } from '../../schema/http.ts';
import { type ErrorAnswer, call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { Publisher, admin, metric, seqs } from '../support/publisher.ts';
import { StreamClient, openStream } from '../support/stream-client.ts';
import { makeShortToken, makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

let gateway: Gateway;
let orgs = 0;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_PING_MS: '500', TURNOUT_MAX_CONNECTIONS_PER_USER: '3' });
});
afterAll(() => gateway.kill());

const newOrg = (): Publisher => new Publisher(gateway.url, `org-${(orgs += 1)}`);
const note = { type: 'note', payload: { text: 'hi' } };
const first = { services: ['chat'], version: 1 };
const nodeMetrics = async (): Promise<NodeMetrics> =>
  (await call<NodeMetrics>(`${gateway.url}/v2/realtime/metrics`, { token: await makeToken() })).body;

describe('auth', () => {
  it('renews in place with one ack, and the services become those that the new token allows', async () => {
    const publisher = newOrg();
    const claims = { org: publisher.org };
    const client = await openStream(gateway.url, await makeToken(claims), ['chat', 'finance']);
    client.send({ type: 'auth', token: await makeToken({ ...claims, services: ['chat', 'staff'] }) });
    await client.next('ack', 2);
    await publisher.publish({ service: 'finance' }, { service: 'staff' }, { service: 'chat' });
    await client.nextEvents(1);
    await sleep(50);
    expect(seqs(client.events())).toEqual([3]);
    client.send({ type: 'subscribe', services: ['finance'] });
    expect(await client.next('error')).toMatchObject({ code: 'service_forbidden', ref: 'finance' });
    client.destroy();
  });

  it('with another sub or org, or a forged token, is an error, and the old token stands', async () => {
    const publisher = newOrg();
    const client = await openStream(gateway.url, await makeToken({ org: publisher.org }), ['chat']);
    client.send({ type: 'auth', token: await makeToken({ org: publisher.org, sub: 'bob' }) });
    client.send({ type: 'auth', token: await makeToken({ org: 'other' }) });
    client.send({ type: 'auth', token: 'garbage' });
    await client.next('error', 3);
    for (const error of client.ofType('error'))
      expect(error).toMatchObject({ code: 'unauthorized', ref: 'auth' });
    await publisher.publish({ service: 'chat' });
    await client.nextEvents(1);
    client.destroy();
  });

  it('keeps a stream open past the first token; without it 4401 comes when the token expires', async () => {
    const short = await makeShortToken(2);
    const renewed = await openStream(gateway.url, short, ['chat']);
    const left = await openStream(gateway.url, short, ['chat']);
    renewed.send({ type: 'auth', token: await makeToken() });
    expect(await left.nextClose()).toEqual({ code: 4401, reason: 'unauthorized' });
    await renewed.next('ping', renewed.ofType('ping').length + 1);
    expect(renewed.closed).toBeUndefined();
    renewed.destroy();
  });
});

describe('publish', () => {
  it('is answered by published with the seq, delivered with its sender, and once for an id sent twice', async () => {
    const publisher = newOrg();
    const claims = { org: publisher.org, publish: ['chat'] };
    const client = await openStream(gateway.url, await makeToken(claims), ['chat']);
    client.send({ type: 'publish', id: 'p-1', service: 'chat', event: note });
    client.send({ type: 'publish', id: 'p-1', service: 'chat', event: note });
    client.send({ type: 'publish', id: 'p-2', service: 'chat', event: note });
    await client.next('published', 3);
    expect(client.ofType('published')).toEqual([
      { type: 'published', id: 'p-1', seq: 1 },
      { type: 'published', id: 'p-1', seq: 1 },
      { type: 'published', id: 'p-2', seq: 2 },
    ]);
    const events = await client.nextEvents(2);
    expect(events[0]).toMatchObject({
      seq: 1,
      id: 'p-1',
      sender: 'ann',
      type: 'note',
      payload: { text: 'hi' },
    });
    client.send({ type: 'publish', id: 'p-3', service: 'chat', event: { ...note, ephemeral: true } });
    expect(await client.next('published', 4)).toEqual({ type: 'published', id: 'p-3' });
    client.send({ type: 'publish', id: 'p-4', service: 'chat', event: { ...note, seq: 7 } });
    expect(await client.next('error')).toMatchObject({ code: 'reserved_field', ref: 'p-4' });
    client.send({
      type: 'publish',
      id: 'p-5',
      service: 'chat',
      event: { ...note, payload: 'x'.repeat(66_000) },
    });
    expect(await client.next('error', 2)).toMatchObject({ code: 'too_large', ref: 'p-5' });
    client.destroy();
  });
});

describe('who may open a stream', () => {
  it('is told 4409 as the oldest of too many connections of one user', async () => {
    const token = await makeToken({ sub: 'many' });
    const clients: StreamClient[] = [];
    for (let turn = 0; turn < 4; turn += 1) clients.push(await openStream(gateway.url, token, ['chat']));
    expect(await clients[0]?.nextClose()).toEqual({ code: 4409, reason: 'too_many_connections' });
    for (const client of clients.slice(1)) {
      expect(client.closed).toBeUndefined();
      client.destroy();
    }
  });

  it('is told 1008 from a foreign origin, and served from its own', async () => {
    const token = await makeToken({ sub: 'browser' });
    const foreign = new StreamClient(gateway.url, {
      token,
      first,
      headers: { origin: 'https://evil.example' },
    });
    expect(await foreign.nextClose()).toEqual({ code: 1008, reason: 'origin_forbidden' });
    await openStream(gateway.url, token, ['chat'], {}, { headers: { origin: gateway.url } });
  });

  it('is told 4410 with a ticket that does not verify, 4401 with the ticket of another user', async () => {
    const forged = new StreamClient(gateway.url, { query: { ticket: 'forged' }, first });
    expect(await forged.nextClose()).toEqual({ code: 4410, reason: 'ticket_expired' });
    const negotiated = await call<NegotiateResponse>(`${gateway.url}/v2/realtime/negotiate`, {
      method: 'POST',
      token: await makeToken({ sub: 'holder' }),
      body: {},
    });
    const path = negotiated.body.urls.websocket;
    const stolen = new StreamClient(gateway.url, { path, first, token: await makeToken({ sub: 'thief' }) });
    expect(await stolen.nextClose()).toEqual({ code: 4401, reason: 'unauthorized' });
    for (const turn of [1, 2]) {
      const client = new StreamClient(gateway.url, { path, first });
      expect((await client.next('ack')).seq, `use ${turn}`).toBe(0);
      client.destroy();
    }
  });

  it('gets 426 for what is not an upgrade', async () => {
    const answer = await call<ErrorAnswer>(`${gateway.url}/v2/realtime/stream`, { token: await makeToken() });
    expect([answer.status, answer.body.error.code]).toEqual([426, 'upgrade_required']);
  });
});

describe('negotiate', () => {
  it('hands out transport, reason, urls, a cursor for who has none, and the settings of the client', async () => {
    const url = `${gateway.url}/v2/realtime/negotiate`;
    const token = await makeToken({ sub: 'fresh' });
    const { status, body } = await call<NegotiateResponse>(url, { method: 'POST', token });
    expect(status).toBe(200);
    expect(body).toEqual({
      transport: 'websocket',
      cohort: 'canary',
      reason: 'rollout',
      assignment: expect.any(Number),
      urls: {
        websocket: expect.stringMatching(/^\/v2\/realtime\/stream\?ticket=.+/),
        'long-poll': '/v1/realtime/poll',
      },
      cursor: expect.any(String),
      client: {
        autoreconnect: expect.any(Boolean),
        backoffMs: [1000, 2000, 4000, 8000, 16_000],
        jitter: 0.2,
        maxAttempts: 10,
        reconnectWithinMs: 2000,
        pingMs: 500,
      },
    });
    const again = await call<NegotiateResponse>(url, {
      token,
      body: { cursor: body.cursor, supports: ['long-poll'] },
    });
    expect(again.body).toMatchObject({ transport: 'long-poll', reason: 'unsupported' });
    expect(again.body).not.toHaveProperty('cursor');
    expect((await call(url, { token, body: { supports: 'websocket' } })).status).toBe(400);
  });
});

describe('compression', () => {
  const large = { service: 'chat', payload: { text: 'hello '.repeat(1000) } };

  it('deflates frames over 1 KiB for who negotiated it, and counts them by client', async () => {
    const publisher = newOrg();
    const token = (sub: string): Promise<string> => makeToken({ org: publisher.org, sub });
    const before = await nodeMetrics();
    const options = { compress: true, tap: true };
    const clients = [
      await openStream(gateway.url, await token('a'), ['chat'], {}, options),
      await openStream(gateway.url, await token('b'), ['chat'], {}, options),
      await openStream(gateway.url, await token('c'), ['chat'], {}, { tap: true }),
    ];
    const [a, b, plain] = clients;
    expect(a?.extensions).toMatch(/permessage-deflate.*server_no_context_takeover/);
    await publisher.publish(large);
    await Promise.all(clients.map((client) => client.nextEvents(1)));
    await publisher.publish({ service: 'chat' });
    await Promise.all(clients.map((client) => client.nextEvents(2)));
    const texts = (client?: StreamClient) => (client?.wire ?? []).filter(({ opcode }) => opcode === 1);
    for (const client of [a, b]) {
      const compressed = texts(client).filter(({ rsv1 }) => rsv1);
      expect(compressed).toHaveLength(1);
      expect(compressed[0]?.bytes).toBeLessThan(1000);
    }
    expect(texts(plain).some(({ rsv1 }) => rsv1)).toBe(false);
    expect(plain?.events()).toEqual(a?.events());
    expect((await nodeMetrics()).compressedMessages - before.compressedMessages).toBe(2);
    for (const client of clients) client.destroy();
  });

  it('sends who negotiated a smaller window what it can read', async () => {
    const publisher = newOrg();
    const token = await makeToken({ org: publisher.org });
    const client = await openStream(gateway.url, token, ['chat'], {}, { compress: 9, tap: true });
    const text = Array.from({ length: 5000 }, (_, index) => `${index * 7919} `).join('');
    await publisher.publish({ service: 'chat', payload: { text } });
    const [event] = await client.nextEvents(1);
    expect(event?.payload).toEqual({ text });
    client.destroy();
  });
});

describe('what is counted', () => {
  it('shows open streams, replayed events and one subscription an org', async () => {
    const publisher = newOrg();
    await publisher.publishMany(5, 'chat');
    const before = await nodeMetrics();
    const claims = { org: publisher.org };
    const clients = await Promise.all(
      Array.from({ length: 20 }, async (_, index) =>
        openStream(gateway.url, await makeToken({ ...claims, sub: `u-${index}` }), ['chat'], { lastSeq: 2 }),
      ),
    );
    await Promise.all(clients.map((client) => client.nextEvents(3)));
    const after = await nodeMetrics();
    expect(after.activeConnections).toBe(after.connectionPoolStats.totalConnections);
    expect(after.totalConnections - before.totalConnections).toBe(20);
    expect(after.missedEventsReplayed - before.missedEventsReplayed).toBe(60);
    expect(after.eventsDelivered - before.eventsDelivered).toBe(60);
    expect(after.connectionPoolStats.totalSubscriptions).toBeLessThanOrEqual(
      after.connectionPoolStats.totalOrgs,
    );
    const { body } = await admin<{ sessions: unknown[] }>(
      gateway.url,
      'GET',
      `/sessions?org=${publisher.org}&user=u-1`,
    );
    expect(body.sessions).toHaveLength(1);
    for (const client of clients) client.destroy();
    await until(
      async () => (await nodeMetrics()).activeConnections,
      'the closes',
      (seen) => seen <= before.activeConnections,
    );
  });

  it('logs every close with user, code, reason and duration, and no token', async () => {
    const token = await makeToken({ sub: 'leaver' });
    const closesBefore = await metric(gateway.url, 'ws_closes_total', 'code="1000"');
    await (await openStream(gateway.url, token, ['chat'], {}, { query: { access_token: token } })).close();
    const line = () => gateway.logs.find((entry) => entry['user_id'] === 'leaver' && entry['code'] === 1000);
    await until(
      () => line(),
      'the close line',
      (seen) => seen !== undefined,
    );
    expect(line()).toMatchObject({ reason: expect.any(String), duration: expect.any(Number) });
    expect(await metric(gateway.url, 'ws_closes_total', 'code="1000"')).toBe(closesBefore + 1);
    expect(JSON.stringify(gateway.logs)).not.toContain(token.split('.')[2]);
  });
});
