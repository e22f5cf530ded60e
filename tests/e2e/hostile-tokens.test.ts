/** Hostile tokens, queries and bodies: refused with the code of protocol 5, and everybody else goes on being served. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Bystanders, startBystanders } from '../support/bystanders.ts';
import { type ErrorAnswer, call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { Publisher, publishRaw } from '../support/publisher.ts';
import { StreamClient, openStream } from '../support/stream-client.ts';
import {
  makeConfusedToken,
  makeProducerToken,
  makeRsaKey,
  makeToken,
  makeUnsignedToken,
} from '../support/token-maker.ts';

let gateway: Gateway;
let bystanders: Bystanders;
beforeAll(async () => {
  gateway = await startGateway();
  bystanders = await startBystanders(gateway.url);
});
afterEach(() => bystanders.expectServed());
afterAll(async () => {
  bystanders.close();
  await gateway.kill();
});

const first = { services: ['chat'], version: 1 };
const hourAgo = (): number => Math.floor(Date.now() / 1000) - 3600;

async function expectUnauthorized(url: string, token: string | undefined): Promise<void> {
  const stream = new StreamClient(url, { token, first });
  expect(await stream.nextClose()).toEqual({ code: 4401, reason: 'unauthorized' });
  const inQuery = new StreamClient(url, { query: { access_token: token ?? '' }, first });
  expect(await inQuery.nextClose()).toEqual({ code: 4401, reason: 'unauthorized' });
  const answer = await poll<ErrorAnswer>(url, token, { services: 'chat', wait: 0 });
  expect(answer.status).toBe(401);
  expect(answer.body.error).toMatchObject({ code: 'unauthorized', retry: 'reauth' });
  expect((await publishRaw(url, token, { service: 'chat', type: 'x', payload: 1 })).status).toBe(401);
  expect((await call(`${url}/v2/realtime/negotiate`, { method: 'POST', token })).status).toBe(401);
}

describe('tokens', () => {
  it.each<[string, () => Promise<string | undefined> | string | undefined]>([
    ['none', () => undefined],
    ['that are garbage', () => 'garbage'],
    ['that expired', () => makeToken({ exp: hourAgo() })],
    ['signed with another key', () => makeToken({}, 'another-secret-than-the-gateway-has')],
    ['with alg none', () => makeUnsignedToken()],
    ['with alg RS256 where HS256 is pinned', () => makeRsaKey().sign()],
    ['whose sub could break out', () => makeToken({ sub: '../{x}' })],
    ['without sub', () => makeToken({ sub: '' })],
  ])('%s are 401 and 4401', async (_, token) => {
    await expectUnauthorized(gateway.url, await token());
  });

  it('that use the public key as an HS256 secret are 401 and 4401', async () => {
    const key = makeRsaKey();
    const rsa = await startGateway({
      TURNOUT_JWT_SECRET: undefined,
      TURNOUT_JWT_PUBLIC_KEY: key.publicKeyPem,
    });
    try {
      await expectUnauthorized(rsa.url, makeConfusedToken(key.publicKeyPem));
      await expectUnauthorized(rsa.url, await makeToken());
      await openStream(rsa.url, await key.sign(), ['chat']);
    } finally {
      await rsa.kill();
    }
  });

  it('in the query are read on the stream alone, and a header wins over them', async () => {
    const [good, forged] = [await makeToken(), makeUnsignedToken()];
    expect(
      (await poll(gateway.url, undefined, { services: 'chat', access_token: good, wait: 0 })).status,
    ).toBe(401);
    await openStream(gateway.url, good, ['chat'], {}, { query: { access_token: forged } });
    const client = new StreamClient(gateway.url, { token: forged, query: { access_token: good }, first });
    expect(await client.nextClose()).toEqual({ code: 4401, reason: 'unauthorized' });
  });

  it('of users are refused by the admin API, and the admin token by the users routes', async () => {
    for (const token of [undefined, 'garbage', await makeToken(), await makeProducerToken()]) {
      const { status } = await call(`${gateway.url}/admin/v1/rollout`, { token });
      expect([401, 403]).toContain(status);
    }
    expect((await poll(gateway.url, 'an-admin-token-of-the-tests', { services: 'chat' })).status).toBe(401);
  });
});

describe('polls', () => {
  it.each([
    [{ services: 'chat', wait: -1 }, 400, 'bad_request'],
    [{ services: 'chat', wait: 61 }, 400, 'bad_request'],
    [{ services: 'chat', wait: '1e1' }, 400, 'bad_request'],
    [{ services: 'chat', limit: 0 }, 400, 'bad_request'],
    [{ services: 'chat', limit: 1001 }, 400, 'bad_request'],
    [{ wait: 0 }, 400, 'bad_request'],
    [{ services: '', wait: 0 }, 400, 'bad_request'],
    [{ services: 'Not A Name', wait: 0 }, 400, 'bad_request'],
    [{ services: Array.from({ length: 101 }, (_, i) => `s${i}`).join(','), wait: 0 }, 400, 'bad_request'],
    [{ services: 'chat', cursor: 'nonsense', wait: 0 }, 400, 'bad_cursor'],
    [{ services: 'chat', cursor: 'x'.repeat(200), wait: 0 }, 400, 'bad_cursor'],
    [{ services: 'chat', lastSeq: -1, wait: 0 }, 400, 'bad_cursor'],
    [{ services: 'chat', lastSeq: 'two', wait: 0 }, 400, 'bad_cursor'],
    [{ services: 'chat,finance', wait: 0 }, 403, 'service_forbidden'],
  ])('%o is %i %s', async (params, status, code) => {
    const token = await makeToken({ services: ['chat'] });
    const answer = await poll<ErrorAnswer>(gateway.url, token, params);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({
      error: { code, message: expect.any(String), retry: 'never', requestId: expect.any(String) },
    });
  });

  it('with a huge lastSeq or the cursor of another org are told reset at once', async () => {
    const token = await makeToken();
    const ahead = await poll(gateway.url, token, {
      services: 'chat',
      lastSeq: Number.MAX_SAFE_INTEGER,
      wait: 30,
    });
    expect(ahead.body).toMatchObject({ events: [], reset: { reason: 'ahead' } });
    const other = await poll(gateway.url, await makeToken({ org: 'other' }), { services: 'chat' });
    const foreign = await poll(gateway.url, token, { services: 'chat', cursor: other.body.cursor, wait: 30 });
    expect(foreign.body).toMatchObject({ events: [], reset: { reason: 'epoch' }, epoch: ahead.body.epoch });
  });
});

describe('publishes', () => {
  const event = { service: 'chat', type: 'note', payload: {} };
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;

  it.each<[string, unknown, number, string]>([
    ['an event of 65 KiB', { ...event, payload: 'x'.repeat(65 * 1024) }, 413, 'too_large'],
    ['no events', { events: [] }, 400, 'bad_request'],
    ['no JSON', '{"service":', 400, 'bad_request'],
    ['an array', [event], 400, 'bad_request'],
    ['no service', { type: 'note', payload: {} }, 400, 'bad_request'],
    ['a bad service', { ...event, service: 'Chat' }, 400, 'bad_request'],
    ['a seq', { ...event, seq: 1 }, 400, 'reserved_field'],
    ['a sender', { ...event, sender: 'ann' }, 400, 'reserved_field'],
    ['a timestamp', { ...event, timestamp: '2026-01-01T00:00:00.000Z' }, 400, 'reserved_field'],
    ['stored and ephemeral events', { events: [event, { ...event, ephemeral: true }] }, 400, 'mixed_batch'],
    ['an id with spaces', { ...event, id: 'a b' }, 400, 'bad_request'],
  ])('of %s are refused', async (_, body, status, code) => {
    const answer = await publishRaw<ErrorAnswer>(gateway.url, await makeProducerToken(), body);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.body.error.code).toBe(code);
  });

  it('over a megabyte together are 413, of 501 events 400 or 413, in another media type 415', async () => {
    const token = await makeProducerToken();
    const many = { events: Array.from({ length: 501 }, () => event) };
    expect([400, 413]).toContain((await publishRaw(gateway.url, token, many)).status);
    const large = { events: Array.from({ length: 40 }, () => ({ ...event, payload: 'x'.repeat(30_000) })) };
    expect((await publishRaw(gateway.url, token, large)).status).toBe(413);
    const xml = { token, body: '<a/>', headers: { 'content-type': 'text/xml' } };
    expect((await call(`${gateway.url}/v1/publish`, xml)).status).toBe(415);
  });

  it('outside the role, the org or the claim are 403', async () => {
    const asUser = await publishRaw<ErrorAnswer>(gateway.url, await makeToken({ publish: ['chat'] }), event);
    expect([asUser.status, asUser.body.error.code]).toEqual([403, 'role_required']);
    const token = await makeProducerToken({ orgs: ['acme'] });
    const elsewhere = await publishRaw<ErrorAnswer>(gateway.url, token, { ...event, org: 'other' });
    expect([elsewhere.status, elsewhere.body.error.code]).toEqual([403, 'org_forbidden']);
    const url = `${gateway.url}/v2/realtime/publish`;
    for (const publish of [[], ['finance'], ['chat/*'], undefined]) {
      const claims = publish === undefined ? {} : { publish };
      const answer = await call<ErrorAnswer>(url, { token: await makeToken(claims), body: event });
      expect([answer.status, answer.body.error.code]).toEqual([403, 'service_forbidden']);
    }
    const client = await openStream(gateway.url, await makeToken({ publish: ['finance'] }), ['chat']);
    client.send({ type: 'publish', id: 'p-1', service: 'chat', event: { type: 'note', payload: {} } });
    expect(await client.next('error')).toMatchObject({ code: 'service_forbidden', ref: 'p-1' });
    client.destroy();
  });

  it('with __proto__, constructor or 50,000 brackets change nothing for the next one', async () => {
    const token = await makeProducerToken();
    const bodies = [
      '{"service":"chat","type":"note","payload":{"__proto__":{"polluted":1}},"__proto__":{"to":["x"],"polluted":1}}',
      '{"service":"chat","type":"note","payload":{},"constructor":{"prototype":{"polluted":1}}}',
      `{"service":"chat","type":"note","payload":${deep}}`,
      '{"__proto__":{"events":[]},"service":"chat","type":"note","payload":{}}',
    ];
    for (const body of bodies) {
      const { status } = await publishRaw(gateway.url, token, body);
      expect([200, 400, 413]).toContain(status);
    }
    const publisher = new Publisher(gateway.url, 'proto');
    const client = await openStream(gateway.url, await makeToken({ org: 'proto' }), ['chat']);
    await publisher.publish({ service: 'chat', type: 'note', payload: { fine: true } });
    const [received] = await client.nextEvents(1);
    expect(Object.keys(received ?? {}).toSorted()).toEqual([
      'id',
      'payload',
      'seq',
      'service',
      'timestamp',
      'type',
    ]);
    expect(received?.payload).toEqual({ fine: true });
    client.destroy();
  });
});
