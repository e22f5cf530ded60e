/** Turnout's own Redis is away: old clients are with the old backend by their next poll, and come back by themselves. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AcmeClient } from '../support/acme/client.ts';
import { knownTenants } from '../support/acme/suite.ts';
import { writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { call } from '../support/http-client.ts';
import { type Gateway, startReadyGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/until.ts';

let theirs: RedisServer;
let ours: RedisServer;
let acme: Acme;
let profile: Awaited<ReturnType<typeof writeAcmeProfile>>;
let node: Gateway;
let tenant = '';

beforeAll(async () => {
  [theirs, ours] = await Promise.all([RedisServer.start(), RedisServer.start({ appendOnly: true })]);
  acme = await startAcme({ redisUrl: theirs.url });
  profile = await writeAcmeProfile({ url: acme.url, redisUrl: theirs.url });
  tenant = (await knownTenants(theirs, 1))();
  node = await startReadyGateway({ ...profile.settings, TURNOUT_REDIS_URL: ours.url });
});
afterAll(async () => {
  await node?.kill();
  await profile?.remove();
  await acme?.stop();
  await Promise.all([theirs, ours].map((server) => server?.stop()));
});

const isUp = async (): Promise<boolean> =>
  (await call(`${node.url}/readyz`)).text.includes('"log":{"up":true');
const answered = (by: string): Promise<number> =>
  metric(node.url, 'legacy_requests_total', `route="/api/updates",answered_by="${by}",status="2xx"`);

it('is told what is new by the old backend while the log is away, and by Turnout afterwards', async () => {
  const client = new AcmeClient(node.url);
  expect(await client.login('ann', tenant)).toBe(200);
  for (const n of [1, 2]) await client.create('tick', { n });
  await admin(node.url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'test' });
  const isServed = async (since: number): Promise<boolean> => {
    const before = await answered('turnout');
    expect((await client.poll(since, 0)).status).toBe(since === 1 ? 200 : 204);
    return (await answered('turnout')) > before;
  };
  await until(() => isServed(1), 'a served poll');
  await until(() => isServed(2), 'a served poll at the head');

  const left = (why: string): Promise<number> => metric(node.url, 'legacy_unserved_total', `why="${why}"`);
  const before = (await left('log-away')) + (await left('bridge-away'));
  await ours.kill();
  await until(async () => !(await isUp()), 'the log to be away');
  await client.create('tick', { n: 3 });
  const { status, updates } = await client.poll(2, 0);
  expect(status).toBe(200);
  expect(updates.map(({ id }) => id)).toEqual([3]);
  // The bridge has no log either: who asks some seconds later is told that first.
  expect((await left('log-away')) + (await left('bridge-away'))).toBeGreaterThan(before);

  await ours.restart();
  await until(isUp, 'the log');
  await until(async () => (await client.poll(1, 0)).updates.length, 'both', 2);
  await until(() => isServed(3), 'a served poll past the outage');
});
