/** What a publish may hold, who may publish it, and what is answered (docs/PROTOCOL.md, 3 and 11). */
import { describe, expect, it } from 'vitest';
import { fail } from '../../src/errors.ts';
import { ServiceClaim } from '../../src/auth/identity.ts';
import type { TailMessage } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { systemClock } from '../../src/clock.ts';
import { edgeApp } from '../support/edge-app.ts';
import type { TokenClaims } from '../support/tokens.ts';

const producer: TokenClaims = { sub: 'backend', roles: ['producer'] };
const user: TokenClaims = { publish: ['chat', 'uploads/*'] };
const event = { service: 'chat', type: 'note', payload: { text: 'hello' } };
const code = (name: string) => ({ error: { code: name } });

async function stored(edge: ReturnType<typeof edgeApp>, org = 'acme') {
  const page = await edge.log.read(org, { at: 'earliest' }, { maxEvents: 1000, maxBytes: 10_000_000 });
  if (page.kind !== 'page') throw new Error(page.reason);
  return page.entries.map((entry) => JSON.parse(entry.json.toString()) as Record<string, unknown>);
}

describe('a producer', () => {
  it('publishes one event, and gets its seq, id and epoch', async () => {
    const edge = edgeApp();
    const { status, body } = await edge.post('/v1/publish', { ...event, id: 'e-1' }, producer);
    expect(status).toBe(200);
    expect(body).toEqual({ results: [{ seq: 1, id: 'e-1' }], epoch: expect.any(String) as string });
    expect(await stored(edge)).toMatchObject([
      { seq: 1, id: 'e-1', service: 'chat', payload: { text: 'hello' } },
    ]);
    expect((await stored(edge))[0]).not.toHaveProperty('sender');
  });

  it('publishes a batch in its order; the same id twice is the first one', async () => {
    const edge = edgeApp();
    const events = ['a', 'b', 'a', 'c'].map((id) => ({ ...event, id }));
    const { body } = await edge.post('/v1/publish', { events }, producer);
    expect(body['results']).toEqual([
      { seq: 1, id: 'a' },
      { seq: 2, id: 'b' },
      { seq: 1, id: 'a', duplicate: true },
      { seq: 3, id: 'c' },
    ]);
    const again = await edge.post('/v1/publish', { ...event, id: 'b' }, producer);
    expect(again.body['results']).toEqual([{ seq: 2, id: 'b', duplicate: true }]);
  });

  it('is told apart from another publisher that uses the same id', async () => {
    const edge = edgeApp();
    const claims = { roles: ['producer'], orgs: ['acme'] };
    for (const [org, sub] of [
      ['acme', 'one'],
      ['acme', 'two'],
      ['ops', 'one'],
    ] as const) {
      const { body } = await edge.post(
        '/v1/publish',
        { ...event, org: 'acme', id: 'x' },
        { ...claims, org, sub },
      );
      expect(body['results']).not.toHaveProperty('0.duplicate');
    }
    expect(await stored(edge)).toHaveLength(3);
  });

  it('gives an id where there is none', async () => {
    const { body } = await edgeApp().post('/v1/publish', { events: [event, event] }, producer);
    const ids = (body['results'] as unknown as { id: string }[]).map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
  });

  it('publishes for the orgs of its token alone', async () => {
    const edge = edgeApp();
    const claims = { ...producer, orgs: ['globex'] };
    expect((await edge.post('/v1/publish', { ...event, org: 'globex' }, claims)).status).toBe(200);
    expect(await edge.post('/v1/publish', event, claims)).toMatchObject({
      status: 403,
      body: code('org_forbidden'),
    });
    expect(
      (await edge.post('/v1/publish', { org: 'any', events: [event] }, { ...producer, orgs: ['*'] })).status,
    ).toBe(200);
    expect(await stored(edge, 'any')).toHaveLength(1);
    expect(await edge.post('/v1/publish', { ...event, org: 'globex' }, producer)).toMatchObject({
      status: 403,
    });
  });

  it('keeps fields that nobody knows, and delivers no `to`, `org` or `ephemeral`', async () => {
    const edge = edgeApp();
    const odd = { ...event, org: 'acme', to: ['u1'], ephemeral: false, colour: 'red' };
    await edge.post('/v1/publish', odd, producer);
    const [kept] = await stored(edge);
    expect(kept).toMatchObject({ colour: 'red' });
    for (const name of ['to', 'org', 'ephemeral']) expect(kept).not.toHaveProperty(name);
  });
});

describe('an end user', () => {
  it('publishes within the claim, as its sender', async () => {
    const edge = edgeApp();
    expect((await edge.post('/v2/realtime/publish', event, user)).status).toBe(200);
    expect((await edge.post('/v2/realtime/publish', { ...event, service: 'uploads/7' }, user)).status).toBe(
      200,
    );
    expect(await stored(edge)).toMatchObject([{ sender: 'u1' }, { sender: 'u1' }]);
  });

  it.each([
    ['another service', { ...event, service: 'chat/thread-7' }, user, 'service_forbidden'],
    ['no claim', event, {}, 'service_forbidden'],
    ['another org', { ...event, org: 'globex' }, user, 'org_forbidden'],
    [
      'a service that one event of a batch names',
      { events: [event, { ...event, service: 'staff' }] },
      user,
      'service_forbidden',
    ],
  ])('is refused for %s', async (_what, body, claims, expected) => {
    const edge = edgeApp();
    expect(await edge.post('/v2/realtime/publish', body, claims)).toMatchObject({
      status: 403,
      body: code(expected),
    });
    expect(await stored(edge)).toEqual([]);
  });

  it('has no business at the producers’ route', async () => {
    const answer = await edgeApp().post('/v1/publish', event, user);
    expect(answer).toMatchObject({ status: 403, body: code('role_required') });
  });
});

describe('an ephemeral event', () => {
  it('is answered by its id alone, and stored nowhere', async () => {
    const edge = edgeApp();
    const seen: TailMessage[] = [];
    await edge.log.tail('acme', (message) => void seen.push(message));
    const { status, body } = await edge.post(
      '/v2/realtime/publish',
      { ...event, id: 'e', ephemeral: true },
      user,
    );
    expect({ status, body }).toEqual({ status: 200, body: { results: [{ id: 'e' }] } });
    expect(await stored(edge)).toEqual([]);
    const [message] = seen;
    const events = message?.kind === 'ephemeral' ? message.events : [];
    expect(events.map(({ json }) => JSON.parse(json.toString()) as unknown)).toMatchObject([
      { id: 'e', service: 'chat', sender: 'u1', payload: { text: 'hello' } },
    ]);
    expect(events[0]?.json.toString()).not.toContain('"seq"');
  });

  it('does not share a batch with stored ones', async () => {
    const edge = edgeApp();
    const events = [event, { ...event, ephemeral: true }];
    const answer = await edge.post('/v1/publish', { events }, producer);
    expect(answer).toMatchObject({ status: 400, body: code('mixed_batch') });
    expect(await stored(edge)).toEqual([]);
  });
});

describe('a publish', () => {
  it.each([
    ['seq', { ...event, seq: 1 }, 'reserved_field'],
    ['timestamp', { ...event, timestamp: 'now' }, 'reserved_field'],
    ['sender', { ...event, sender: 'boss' }, 'reserved_field'],
    ['a reserved field in a batch', { events: [event, { ...event, sender: 'boss' }] }, 'reserved_field'],
    ['a reserved field in an event that is wrong otherwise too', { seq: 1 }, 'reserved_field'],
    ['a service in capitals', { ...event, service: 'Chat' }, 'bad_request'],
    ['no service', { type: 'note', payload: 1 }, 'bad_request'],
    ['no type', { service: 'chat', payload: 1 }, 'bad_request'],
    ['no payload', { service: 'chat', type: 'note' }, 'bad_request'],
    ['an id with a space', { ...event, id: 'a b' }, 'bad_request'],
    ['an id that is too long', { ...event, id: 'x'.repeat(129) }, 'bad_request'],
    ['an empty list', { events: [] }, 'bad_request'],
    ['events that are no list', { events: 7 }, 'bad_request'],
    ['two orgs', { events: [event, { ...event, org: 'globex' }] }, 'bad_request'],
    ['an array', [event], 'bad_request'],
    ['null', null, 'bad_request'],
    ['nothing', '', 'bad_request'],
    ['what is not JSON', '{"service":', 'bad_request'],
    ['an empty `to`', { ...event, to: [] }, 'bad_request'],
  ])('with %s is refused, and nothing of it stored', async (_what, body, expected) => {
    const edge = edgeApp();
    const answer = await edge.post('/v1/publish', body, { ...producer, orgs: ['*'] });
    expect(answer).toMatchObject({ status: 400, body: code(expected) });
    expect(await stored(edge)).toEqual([]);
    expect(await edge.metrics.text()).toContain(`turnout_publish_rejected_total{code="${expected}"} 1`);
  });

  const sized = (bytes: number, text = 'x') => {
    const empty = { service: 'chat', type: 'note', payload: '' };
    const room = bytes - Buffer.byteLength(JSON.stringify(empty));
    return { ...empty, payload: text.repeat(room / Buffer.byteLength(text)) };
  };

  it('weighs 64 KiB an event at most, in bytes of UTF-8, as its publisher wrote it', async () => {
    const edge = edgeApp();
    expect((await edge.post('/v1/publish', sized(65_536), producer)).status).toBe(200);
    expect((await edge.post('/v1/publish', JSON.stringify(sized(65_536), null, 8), producer)).status).toBe(
      200,
    );
    expect(await edge.post('/v1/publish', sized(65_537), producer)).toMatchObject({
      status: 413,
      body: code('too_large'),
    });
    expect((await edge.post('/v1/publish', sized(66_560, 'é'), producer)).status).toBe(413);
    const long = {
      ...event,
      to: Array.from({ length: 1000 }, (_, index) => `user-${'x'.repeat(60)}-${index}`),
    };
    expect((await edge.post('/v1/publish', long, producer)).status).toBe(413);
  });

  it('holds 500 events and 1 MiB together at most', async () => {
    const edge = edgeApp();
    const many = (count: number) => ({ events: Array.from({ length: count }, () => event) });
    expect((await edge.post('/v1/publish', many(500), producer)).status).toBe(200);
    expect(await edge.post('/v1/publish', many(501), producer)).toMatchObject({ status: 413 });
    const full = Array.from({ length: 16 }, () => sized(65_536));
    expect((await edge.post('/v1/publish', { events: full }, producer)).status).toBe(200);
    expect((await edge.post('/v1/publish', { events: [...full, event] }, producer)).status).toBe(413);
  });

  it('may carry any Content-Type of JSON, or none, and no other', async () => {
    const edge = edgeApp();
    for (const type of ['application/json; charset=utf-8', 'application/cloudevents+json'])
      expect((await edge.post('/v1/publish', event, producer, { 'content-type': type })).status).toBe(200);
    const answer = await edge.post('/v1/publish', event, producer, { 'content-type': 'text/plain' });
    expect(answer).toMatchObject({ status: 415, body: code('unsupported_media_type') });
  });

  it('is harmless with __proto__ and constructor in it', async () => {
    const edge = edgeApp();
    const body = `{"service":"chat","type":"note","__proto__":{"polluted":1,"ephemeral":true},"constructor":{"prototype":{"polluted":1}},"payload":{"__proto__":{"polluted":1}}}`;
    expect((await edge.post('/v1/publish', body, producer)).status).toBe(200);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(await stored(edge)).toHaveLength(1);
    const batch = await edge.post('/v1/publish', '{"__proto__":{"events":[]}}', producer);
    expect(batch).toMatchObject({ status: 400 });
  });

  it('that is nested beyond measure is refused, not a fault', async () => {
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
    const answer = await edgeApp().post(
      '/v1/publish',
      `{"service":"chat","type":"note","payload":${deep}}`,
      producer,
    );
    expect(answer.status).toBeLessThan(500);
  });

  it('is answered 503, and acknowledged in no part, while the log is away', async () => {
    const log = createMemoryLog({
      clock: systemClock,
      retentionMs: 1000,
      retentionEvents: 10,
      retentionBytes: 10_000,
    });
    await log.close();
    const edge = edgeApp({ log });
    const { status, body, response } = await edge.post('/v1/publish', event, producer);
    expect({ status, body }).toMatchObject({ status: 503, body: code('log_unavailable') });
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(body).not.toHaveProperty('results');
  });
});

describe('a publish on the stream', () => {
  it('takes the same way', async () => {
    const edge = edgeApp();
    const claims = { org: 'acme', sub: 'u1', publish: ['chat'] };
    const identity = {
      ...claims,
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      reads: new ServiceClaim(['*']),
      publishes: new ServiceClaim(claims.publish),
      roles: new Set<never>(),
      producerOrgs: ['acme'],
    };
    const { results } = await edge.publisher.publish(identity, 'user', [{ ...event, id: 'f' }]);
    expect(results).toEqual([{ seq: 1, id: 'f' }]);
    await expect(
      edge.publisher.publish(identity, 'user', [{ ...event, service: 'staff' }]),
    ).rejects.toMatchObject(fail('service_forbidden', 'the token may not publish to staff'));
  });
});
