/** One node with a bridged profile and one without a source: what its callers may publish, read and poll. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bridgeProfile, pollSource } from '../support/bridge-profiles.ts';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric, Publisher, publishRaw } from '../support/publisher.ts';
import { openStream } from '../support/stream-client.ts';
import { makeProducerToken, makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

// Nobody is there: what isn't served is 502.
const upstream = 'http://127.0.0.1:1';
const served = (name: string, services: 'kept' | 'ignored') => ({
  name,
  match: { path: `/api/${name}` },
  upstream,
  auth: { from: 'bearer', jwt: { user: '$.sub', org: '$.org', services } },
  request: {
    cursor: { in: 'query', name: 'since', format: 'integer' },
    services: { fixed: ['news', 'more'] },
  },
  response: {
    idle: { status: 204 },
    events: { status: 200, body: { updates: '$events', next: '$cursor' } },
    event: { id: '$.id:number' },
  },
});

let folder = '';
let gateway: Gateway;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-served-'));
  const profiles = [
    bridgeProfile('old', pollSource(['acme'])),
    served('kept', 'kept'),
    served('free', 'ignored'),
  ];
  for (const profile of profiles)
    await writeFile(join(folder, `${profile.name}.json`), JSON.stringify(profile));
  gateway = await startGateway({ TURNOUT_PROFILES: folder });
});
afterAll(async () => {
  await gateway.kill();
  await rm(folder, { recursive: true });
});

it("refuses everybody's publish to a bridged service and to Turnout's own", async () => {
  const { url } = gateway;
  const reserved = { status: 403, body: { error: { code: 'service_reserved' } } };
  const token = await makeToken({ publish: ['*', 'turnout/*'] });
  const stream = await openStream(url, token, ['chat']);
  for (const service of ['updates', 'turnout/hole']) {
    const event = { org: 'acme', service, type: 'note', payload: {}, id: '7' };
    expect(await publishRaw(url, await makeProducerToken(), event)).toMatchObject(reserved);
    expect(await call(`${url}/v2/realtime/publish`, { token, body: event })).toMatchObject(reserved);
    stream.send({ type: 'publish', id: service, service, event: { type: 'note', payload: {} } });
    await until(() => stream.ofType('error').some(({ ref }) => ref === service), `the refusal of ${service}`);
  }
  expect(stream.ofType('error').map(({ code }) => code)).toEqual(['service_reserved', 'service_reserved']);
  await stream.close();
});

it("lets nobody read Turnout's own services", async () => {
  const { url } = gateway;
  const token = await makeToken({ services: ['*', 'turnout/*'] });
  expect((await call(`${url}/v1/realtime/poll?services=chat,turnout/hole&wait=0`, { token })).status).toBe(
    403,
  );
  const stream = await openStream(url, token, ['chat', 'turnout/hole']);
  stream.send({ type: 'subscribe', services: ['turnout'] });
  await stream.next('error', 2);
  const refused = stream.ofType('error').map(({ code, ref }) => [code, ref]);
  expect(refused).toEqual([
    ['service_forbidden', 'turnout/hole'],
    ['service_forbidden', 'turnout'],
  ]);
  await stream.close();
});

it('serves no legacy client what its token may not read, unless the profile says so', async () => {
  const { url } = gateway;
  await admin(url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'test' });
  await new Publisher(url).publish({ service: 'news', id: '1' }, { service: 'more', id: '2' });
  const poll = async (name: string, services?: unknown) => {
    const token = await makeToken({ ...(services !== undefined && { services: services as string[] }) });
    return (await call(`${url}/api/${name}?since=1`, { token })).status;
  };
  expect(await poll('kept')).toBe(200);
  expect(await poll('kept', ['news', 'mo*'])).toBe(200);
  // Half of it, none of it, and a claim that is none.
  for (const services of [['news'], ['chat'], [], 'news', { news: true }])
    expect(await poll('kept', services), JSON.stringify(services)).toBe(502);
  expect(await metric(url, 'legacy_unserved_total', 'why="service-forbidden"')).toBe(5);
  expect(await poll('free', ['chat'])).toBe(200);
  expect(
    gateway.logs.map(({ msg }) => String(msg)).filter((msg) => msg.includes('services claim')),
  ).toHaveLength(1);
});
