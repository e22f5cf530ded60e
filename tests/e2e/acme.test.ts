/** A company's own tests of its API pass wherever the API is served: by itself, and through Turnout, unchanged. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AcmeClient } from '../support/acme/client.ts';
import { writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { acmeSuite, type NewTenant, someTenant, knownTenants } from '../support/acme/suite.ts';
import { call } from '../support/http-client.ts';
import { type Settings, startGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

interface Served {
  readonly url: string;
  readonly newTenant?: NewTenant;
  readonly isServed?: boolean;
  close(): Promise<void>;
}

interface Way {
  readonly name: string;
  readonly open: (acme: Acme, redis: RedisServer) => Promise<Served>;
}

let redis: RedisServer;
let acme: Acme;

beforeAll(async () => {
  redis = await RedisServer.start();
  acme = await startAcme({ redisUrl: redis.url });
});
afterAll(async () => {
  await acme.stop();
  await redis.stop();
});

/** A node in front of the company. */
const through =
  (settings: Settings) =>
  async (company: Acme, { url: redisUrl }: RedisServer): Promise<Served> => {
    const profile = await writeAcmeProfile({ url: company.url, redisUrl });
    const gateway = await startGateway({ ...profile.settings, ...settings });
    return {
      url: gateway.url,
      async close() {
        await gateway.kill();
        await profile.remove();
      },
    };
  };

/** A node that answers the company's polls itself, for everybody. */
const servedByTurnout = async (company: Acme, server: RedisServer): Promise<Served> => {
  const newTenant = await knownTenants(server, 60);
  const node = await through({ TURNOUT_REDIS_URL: server.url })(company, server);
  const flag = { percent: 100, reason: 'test' };
  const isSet = async (): Promise<boolean> =>
    (await admin(node.url, 'PUT', '/rollout/flags/legacy-serve', flag)).status === 200;
  await until(isSet, 'legacy-serve at 100 %');
  const isBridging = async (): Promise<boolean> => (await metric(node.url, 'turnout_bridge_fed')) > 0;
  await until(isBridging, 'the bridge');
  return { ...node, newTenant, isServed: true };
};

const ways: readonly Way[] = [
  { name: 'by itself', open: ({ url }) => Promise.resolve({ url, close: () => Promise.resolve() }) },
  { name: 'through passthrough', open: through({}) },
  { name: 'by legacy-serve at 100 %', open: servedByTurnout },
];

it('lets a held poll of an old client finish when its node is ended', async () => {
  const profile = await writeAcmeProfile({ url: acme.url, redisUrl: redis.url });
  onTestFinished(() => profile.remove());
  const gateway = await startGateway(profile.settings);
  onTestFinished(() => gateway.kill());
  const [reader, writer] = [new AcmeClient(gateway.url), new AcmeClient(acme.url)];
  for (const client of [reader, writer]) await client.login('ann', 'ended');
  const held = reader.poll(0, 30);
  await until(async () => (await call(`${gateway.url}/metrics`)).text.includes('legacy_requests_open 1'));
  gateway.signal('SIGTERM');
  await until(() => gateway.logs.some(({ msg }) => msg === 'draining'), 'the drain');
  await writer.create('note', 'in time');
  expect((await held).updates.map(({ data }) => data)).toEqual(['in time']);
  expect(await gateway.exited).toBe(0);
});

it('answers an old client that comes while streams are still on their way elsewhere', async () => {
  const profile = await writeAcmeProfile({ url: acme.url, redisUrl: redis.url });
  onTestFinished(() => profile.remove());
  const gateway = await startGateway({ ...profile.settings, TURNOUT_DRAIN_MS: '4000' });
  onTestFinished(() => gateway.kill());
  const first = { services: ['updates'], version: 1 };
  await new StreamClient(gateway.url, { token: await makeToken(), first }).next('ack');
  const reader = new AcmeClient(gateway.url);
  await reader.login('ann', 'late');
  gateway.signal('SIGTERM');
  await until(() => gateway.logs.some(({ msg }) => msg === 'draining'), 'the drain');
  // Not cut: who can't be updated may not know what to make of that.
  expect((await reader.poll(0, 30)).status).toBe(503);
  expect(await gateway.exited).toBe(0);
});

describe.each(ways)('the company’s API, served $name', ({ open }) => {
  let served: Served;
  beforeAll(async () => {
    served = await open(acme, redis);
  });
  afterAll(() => served.close());

  it.concurrent.for(acmeSuite)('$promise', async ({ run }) => {
    await expect(run(served.url, served.newTenant ?? someTenant)).resolves.toBeUndefined();
  });

  it('is answered by whom it should be', async () => {
    if (served.url === acme.url) return;
    const by = (who: string): Promise<number> =>
      metric(served.url, 'legacy_requests_total', `route="/api/updates",answered_by="${who}"`);
    const [turnout, upstream] = [await by('turnout'), await by('upstream')];
    console.log(`${turnout} polls served, ${upstream} passed through`);
    if (served.isServed === true) expect(turnout).toBeGreaterThan(upstream);
    else expect(turnout).toBe(0);
  });
});
