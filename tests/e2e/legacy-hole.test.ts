/** What the company has and Turnout's log can't hold: nobody who is served misses it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AcmeClient, AcmeReader } from '../support/acme/client.ts';
import { knownTenants } from '../support/acme/suite.ts';
import { writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/until.ts';

let redis: RedisServer;
let acme: Acme;
let profile: Awaited<ReturnType<typeof writeAcmeProfile>>;
let gateway: Gateway;
let tenant = '';

beforeAll(async () => {
  redis = await RedisServer.start();
  acme = await startAcme({ redisUrl: redis.url });
  profile = await writeAcmeProfile({ url: acme.url, redisUrl: redis.url });
  tenant = (await knownTenants(redis, 1))();
  gateway = await startGateway({ ...profile.settings, TURNOUT_REDIS_URL: redis.url });
});
afterAll(async () => {
  await gateway.kill();
  await profile.remove();
  await acme.stop();
  await redis.stop();
});

it('gives a served client an update that is too large for the log, in its place', async () => {
  const { url } = gateway;
  const writer = new AcmeClient(acme.url);
  await writer.login('ann', tenant);
  await writer.create('note', { text: 'first' });
  const percent = { percent: 100, reason: 'test' };
  const isSet = async (): Promise<boolean> =>
    (await admin(url, 'PUT', '/rollout/flags/legacy-serve', percent)).status === 200;
  await until(isSet, 'legacy-serve at 100 %');
  await until(() => metric(url, 'turnout_bridge_events_total'), 'the first update in the log');
  await until(() => metric(url, 'turnout_bridge_fed'), 'a bridge that is known of');

  const client = new AcmeClient(url);
  await client.login('bob', tenant);
  const reader = new AcmeReader(client);
  const served = (): Promise<number> =>
    metric(url, 'legacy_requests_total', 'route="/api/updates",answered_by="turnout"');
  try {
    await until(() => reader.seen.length, 'the first update', 1);
    await writer.create('note', { text: 'second' });
    await until(() => reader.seen.length, 'the second update', 2);
    await writer.create('note', { text: 'x'.repeat(100_000) });
    await until(() => reader.seen.length, 'the one that the log could not hold', 3);
    const before = await served();
    for (const text of ['fourth', 'fifth', 'sixth']) {
      const { length } = reader.seen;
      await writer.create('note', { text });
      await until(
        () => reader.seen.length,
        text,
        (seen) => seen > length,
      );
    }
    expect(reader.seen.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await metric(url, 'legacy_unserved_total', 'why="gap"')).toBeGreaterThan(0);
    expect(await served()).toBeGreaterThan(before);
  } finally {
    await reader.stop();
  }
});
