/** One company, two kinds of clients: those with the SDK on WebSocket, and those that nobody can update. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AcmeClient } from '../support/acme/client.ts';
import { type AcmeProfile, writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { type NewTenant, someTenant, knownTenants } from '../support/acme/suite.ts';
import { Crowd } from '../support/crowd.ts';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway, startReadyGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

let redis: RedisServer;
let acme: Acme;
let profile: AcmeProfile;
let gateway: Gateway;
let newTenant: NewTenant;
const crowd = new Crowd();

beforeAll(async () => {
  redis = await RedisServer.start();
  acme = await startAcme({ redisUrl: redis.url });
  profile = await writeAcmeProfile({ url: acme.url, redisUrl: redis.url });
  newTenant = await knownTenants(redis, 2);
  gateway = await startReadyGateway({ ...profile.settings, TURNOUT_REDIS_URL: redis.url });
});
afterAll(async () => {
  crowd.stop();
  await gateway.kill();
  await acme.stop();
  await Promise.all([redis.stop(), profile.remove()]);
});

/** What somebody was given, and when. */
interface Arrivals {
  readonly ids: number[];
  readonly data: unknown[];
  readonly ms: number[];
}
const nothing = (): Arrivals => ({ ids: [], data: [], ms: [] });

const count = 60;
const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Polls as the old client does until it has all. */
async function readOld(client: AcmeClient): Promise<Arrivals> {
  const old = nothing();
  while (old.ids.length < count) {
    const { status, updates } = await client.poll(old.ids.at(-1) ?? 0, 5);
    expect([200, 204]).toContain(status);
    for (const { id, data } of updates) {
      old.ids.push(id);
      old.data.push(data);
      old.ms.push(performance.now());
    }
  }
  return old;
}

function readNew(user: string, org: string): Arrivals {
  const young = nothing();
  crowd.add(gateway.url, user, ['updates'], {
    token: () => makeToken({ sub: user, org }),
    cursor: 'earliest',
    onEvent({ id, payload }) {
      young.ids.push(Number(id));
      young.data.push((payload as { data: unknown }).data);
      young.ms.push(performance.now());
    },
  });
  return young;
}

it('SDK clients on WebSocket and old clients on the old dialect see the same events at the same time', async () => {
  const tenant = newTenant();
  const author = new AcmeClient(acme.url);
  await author.login('author', tenant);
  const young = ['una', 'una', 'uwe'].map((user) => readNew(user, tenant));
  await admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'test' });
  await author.create('note', { n: 1 });
  await until(() => young.every(({ ids }) => ids.length === 1), 'the bridge to read the tenant');
  await until(() => metric(gateway.url, 'turnout_bridge_fed'), 'the bridge to be heard of', 1);
  const old = await Promise.all(
    ['ann', 'ann', 'ben'].map(async (user) => {
      const client = new AcmeClient(gateway.url);
      await client.login(user, tenant);
      return { arrivals: readOld(client) };
    }),
  );
  for (let n = 2; n <= count; n += 1) {
    await author.create('note', { n });
    await sleep(30);
  }
  const olds = await Promise.all(old.map(({ arrivals }) => arrivals));
  await until(() => young.every(({ ids }) => ids.length === count), 'all on WebSocket');

  await crowd.allOn('websocket');
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  for (const { ids, data } of [...olds, ...young]) {
    expect(ids).toEqual(numbers);
    expect(data).toEqual(numbers.map((n) => ({ n })));
  }
  // Who came first and who last, compared with the time from one update to the next. The first came before the old ones did.
  const all = [...olds, ...young].map(({ ms }) => ms.slice(1));
  const [first = []] = all;
  const apart = first.map((_, at) => {
    const times = all.map((ms) => ms[at] ?? Number.NaN);
    return Math.max(...times) - Math.min(...times);
  });
  const between = first.slice(1).map((ms, at) => ms - (first[at] ?? Number.NaN));
  console.log(`${middle(apart).toFixed(1)} ms apart, an update every ${middle(between).toFixed(1)} ms`);
  expect(middle(apart)).toBeLessThan(middle(between));
  // Who loses a stream may poll for a while, and would be counted among those who are held further down.
  crowd.stop();
});

it('leaves old clients to the company while nobody bridges', async () => {
  const lone = await startGateway({ ...profile.settings, TURNOUT_BRIDGE: 'off' });
  try {
    await admin(lone.url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'test' });
    const client = new AcmeClient(lone.url);
    const tenant = someTenant();
    await client.login('ann', tenant);
    await client.create('note', 'one');
    const asked = client.poll(1, 5);
    await client.create('note', 'two');
    expect((await asked).updates.map(({ data }) => data)).toEqual(['two']);
    expect(await metric(lone.url, 'legacy_unserved_total', 'why="bridge-away"')).toBe(1);
  } finally {
    await lone.kill();
  }
});

it('an event for one user alone is given to that user alone, among old clients that wait together', async () => {
  const tenant = newTenant();
  // As another part of the company writes them, all at once.
  const write = (...events: readonly (readonly [seq: string, to?: string])[]): Promise<unknown> => {
    const batch = redis.client.multi();
    for (const [seq, to = ''] of events)
      batch.xadd(`updates:${tenant}`, '*', 'seq', seq, 'kind', 'note', 'data', seq, 'at', '', 'to', to);
    return batch.exec();
  };
  await write(['1']);
  await until(async () => {
    const url = `${gateway.url}/v1/realtime/poll?services=updates&cursor=earliest&wait=0`;
    const { body } = await call<{ events: object[] }>(url, { token: await makeToken({ org: tenant }) });
    return body.events.length === 1;
  }, 'the first event in the log');
  const users = ['ann', 'ben', 'cis'];
  const held = await Promise.all(
    users.map(async (user) => {
      const client = new AcmeClient(gateway.url);
      await client.login(user, tenant);
      return { asked: client.poll(1, 10) };
    }),
  );
  await until(
    () => metric(gateway.url, 'turnout_polls_held'),
    'all to wait',
    (seen) => seen === users.length,
  );
  await write(['2', 'ben'], ['3'], ['4', 'ann']);
  const given = await Promise.all(held.map(async ({ asked }) => (await asked).updates.map(({ id }) => id)));
  expect(given).toEqual([[3, 4], [2, 3], [3]]);
});
