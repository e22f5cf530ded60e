/** What an end user may publish: a rate of events and of bytes for each identity, however many streams and requests it comes by. */
import { afterEach, describe, expect, it } from 'vitest';
import { userIdentity } from '../../src/auth/identity.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { edgeApp } from '../support/edge-app.ts';
import { call, type ErrorAnswer } from '../support/http-client.ts';
import { metric, publishRaw } from '../support/publisher.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, testSecret } from '../support/token-maker.ts';
import type { TokenClaims } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const user = { publish: ['chat'] };
const event = { service: 'chat', type: 'note', payload: 1 };

describe('over HTTP', () => {
  const path = '/v2/realtime/publish';
  const statusOf = async (edge: ReturnType<typeof edgeApp>, body: unknown, claims: TokenClaims = user) =>
    (await edge.post(path, body, claims)).status;

  it('an end user’s publishes past the rate are 429 with Retry-After, and pass again in time', async () => {
    const edge = edgeApp({ eventsPerS: 2 });
    for (let count = 0; count < 20; count += 1) expect(await statusOf(edge, event)).toBe(200);
    const { status, body, response } = await edge.post(path, event, user);
    expect({ status, body }).toMatchObject({
      status: 429,
      body: { error: { code: 'rate_limited', retry: 'backoff' } },
    });
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await statusOf(edge, event, { ...user, sub: 'u2' })).toBe(200);
    expect(await statusOf(edge, event, { ...user, org: 'globex' })).toBe(200);
    edge.clock.advance(1000);
    expect([await statusOf(edge, event), await statusOf(edge, event)]).toEqual([200, 200]);
    expect(await statusOf(edge, event)).toBe(429);
    expect(await edge.metrics.registry.getSingleMetricAsString('turnout_publish_rejected_total')).toContain(
      'code="rate_limited"} 2',
    );
  });

  it('any publish that is allowed passes after a pause, and its events and bytes are paid for', async () => {
    const edge = edgeApp({ eventsPerS: 2, bytesPerS: 1024 });
    const batch = { events: Array.from({ length: 60 }, () => event) };
    expect(await statusOf(edge, batch)).toBe(200);
    edge.clock.advance(19_000);
    expect(await statusOf(edge, event)).toBe(429);
    edge.clock.advance(60_000);
    expect(await statusOf(edge, { ...event, payload: 'x'.repeat(60_000) })).toBe(200);
    const late = await edge.post(path, event, user);
    expect(late.status).toBe(429);
    const waitS = Number(late.response.headers.get('retry-after'));
    expect(waitS).toBeGreaterThan(40);
    edge.clock.advance(waitS * 1000 + 1);
    expect(await statusOf(edge, event)).toBe(200);
  });

  it('what is refused is counted, and nothing of it is stored', async () => {
    const edge = edgeApp({ eventsPerS: 1 });
    for (let count = 0; count < 10; count += 1)
      expect(await statusOf(edge, { ...event, service: 'staff' })).toBe(403);
    expect(await statusOf(edge, event)).toBe(429);
    const { head } = await edge.log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
    expect(head.seq).toBe(0);
  });

  it('an application that sends what it has kept for a while, and a person who types, meet no limit', async () => {
    const { TURNOUT_MAX_PUBLISHES_PER_USER_PER_S, TURNOUT_MAX_PUBLISH_BYTES_PER_USER_PER_S } = readConfig({});
    const edge = edgeApp({
      eventsPerS: TURNOUT_MAX_PUBLISHES_PER_USER_PER_S,
      bytesPerS: TURNOUT_MAX_PUBLISH_BYTES_PER_USER_PER_S,
    });
    const identity = userIdentity({ org: 'acme', sub: 'u1', expiresAtMs: Number.MAX_SAFE_INTEGER, ...user });
    const publish = (isTyping: boolean) =>
      edge.publisher.publishOne(identity, 'user', { ...event, ephemeral: isTyping });
    for (let count = 1; count <= 1000; count += 1) expect((await publish(false)).seq).toBe(count);
    for (let frame = 0; frame < 600; frame += 1) {
      edge.clock.advance(1000 / 60);
      await publish(true);
    }
  });

  it('a backend has no such limit', async () => {
    const edge = edgeApp({ eventsPerS: 1, bytesPerS: 1024 });
    const producer = { sub: 'u1', roles: ['producer'], publish: ['chat'] };
    for (let count = 0; count < 100; count += 1)
      expect((await edge.post('/v1/publish', event, producer)).status).toBe(200);
  });
});

describe('on the stream', () => {
  let gateway: Gateway | undefined;
  afterEach(() => gateway?.drain());

  async function open(settings: Readonly<Record<string, string>>) {
    const config = readConfig({
      TURNOUT_PORT: '0',
      TURNOUT_JWT_SECRET: testSecret,
      TURNOUT_DRAIN_MS: '0',
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '100',
      ...settings,
    });
    gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent') });
    const { url } = gateway;
    const beganMs = systemClock.monotonic();
    const streamOf = async (sub: string): Promise<StreamClient> => {
      const token = await makeToken({ ...user, sub });
      const stream = new StreamClient(url, { token, first: { services: ['other'], version: 1 } });
      await stream.next('ack');
      return stream;
    };
    const publish = (stream: StreamClient, id: string, payload: unknown = 1): void =>
      stream.send({ type: 'publish', id, service: 'chat', event: { type: 'note', payload } });
    /** Saved up, and what a rate of one a second has added since. */
    const most = (): number => 10 + (systemClock.monotonic() - beganMs) / 1000 + 1;
    return { url, streamOf, publish, most };
  }
  const answered = (stream: StreamClient, count: number): Promise<void> =>
    until(
      () => stream.ofType('published').length + stream.ofType('error').length,
      'an answer to each',
      (seen) => seen >= count,
    );

  it('all streams and requests of a user share one rate; each publish past it is an error frame with its id', async () => {
    const { url, streamOf, publish, most } = await open({ TURNOUT_MAX_PUBLISHES_PER_USER_PER_S: '1' });
    const [one, two, other] = [await streamOf('ann'), await streamOf('ann'), await streamOf('bob')];
    for (let count = 0; count < 20; count += 1)
      for (const [at, stream] of [one, two].entries()) publish(stream, `${at}-${count}`);
    await Promise.all([answered(one, 20), answered(two, 20)]);
    const stored = one.ofType('published').length + two.ofType('published').length;
    expect(stored).toBeGreaterThanOrEqual(10);
    expect(stored).toBeLessThanOrEqual(most());
    const errors = one.ofType('error');
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['rate_limited']));
    expect(errors.at(-1)?.ref).toBe('0-19');
    const token = await makeToken({ ...user, sub: 'ann' });
    const posts = await Promise.all(
      Array.from({ length: 5 }, () =>
        call<ErrorAnswer>(`${url}/v2/realtime/publish`, { method: 'POST', token, body: event }),
      ),
    );
    expect(posts.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(3);
    publish(other, 'x');
    expect(await other.next('published')).toMatchObject({ id: 'x' });
    expect([one.closed, two.closed]).toEqual([undefined, undefined]);
    expect(await metric(url, 'turnout_publish_rejected_total', '{code="rate_limited"}')).toBeGreaterThan(20);
    const backend = await makeToken({ sub: 'ann', roles: ['producer'] });
    for (let count = 0; count < 30; count += 1)
      expect((await publishRaw(url, backend, event)).status).toBe(200);
  });

  it('large events of one stream are held to the rate of bytes', async () => {
    const bytesPerS = 64 * 1024;
    const settings = { TURNOUT_MAX_PUBLISH_BYTES_PER_USER_PER_S: String(bytesPerS) };
    const { streamOf, publish, most } = await open(settings);
    const stream = await streamOf('ann');
    const payload = 'x'.repeat(60_000);
    for (let count = 0; count < 40; count += 1) publish(stream, String(count), payload);
    await answered(stream, 40);
    const bytes = stream.ofType('published').length * payload.length;
    expect(bytes).toBeGreaterThanOrEqual(10 * bytesPerS - payload.length);
    expect(bytes).toBeLessThanOrEqual((most() + 1) * bytesPerS);
  });

  it('a client that goes on and on past its rate is flooding', async () => {
    const { streamOf, publish, most } = await open({ TURNOUT_MAX_PUBLISHES_PER_USER_PER_S: '1' });
    const stream = await streamOf('ann');
    for (let count = 0; count < 600; count += 1) publish(stream, String(count));
    expect(await stream.nextClose()).toEqual({ code: 1008, reason: 'flooding' });
    expect(stream.ofType('published').length).toBeLessThanOrEqual(most());
  });
});
