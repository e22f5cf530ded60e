/** nginx, as Debian has it, before the company's API: its clients go to Turnout and back by a reload, under load. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Between, startBetween } from '../support/acme/between.ts';
import { AcmeClient, AcmeReader } from '../support/acme/client.ts';
import { type AcmeProfile, writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { type NewTenant, someTenant, knownTenants } from '../support/acme/suite.ts';
import { Nginx } from '../support/nginx.ts';
import { type Gateway, startReadyGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

let redis: RedisServer;
let acme: Acme;
let between: Between;
let profile: AcmeProfile;
let gateway: Gateway;
let nginx: Nginx;
let newTenant: NewTenant;

beforeAll(async () => {
  redis = await RedisServer.start();
  acme = await startAcme({ redisUrl: redis.url });
  between = await startBetween(acme.url);
  profile = await writeAcmeProfile({ url: between.url, redisUrl: redis.url });
  newTenant = await knownTenants(redis, 2);
  gateway = await startReadyGateway({
    ...profile.settings,
    TURNOUT_REDIS_URL: redis.url,
    TURNOUT_TRUSTED_PROXIES: '127.0.0.1',
  });
  nginx = await Nginx.start({ backend: acme.url, turnout: gateway.url }, 'backend');
});
afterAll(async () => {
  await nginx.stop();
  await gateway.kill();
  await between.close();
  await acme.stop();
  await Promise.all([redis.stop(), profile.remove()]);
});

class Load {
  readonly readers: AcmeReader[] = [];
  created = 0;
  private isOn = true;
  private writing: Promise<void> = Promise.resolve();

  async begin(url: string, clients: number): Promise<void> {
    const tenant = newTenant();
    const author = new AcmeClient(url);
    await author.login('author', tenant);
    for (let at = 0; at < clients; at += 1) {
      const client = new AcmeClient(url);
      await client.login(`user-${at}`, tenant);
      this.readers.push(new AcmeReader(client, 1));
    }
    const write = async (): Promise<void> => {
      for (; this.isOn; this.created += 1) {
        await author.create('note', { n: this.created });
        await sleep(15);
      }
    };
    this.writing = write();
    // An update that isn't taken fails the test, in `end`.
    this.writing.catch(() => undefined);
  }

  async end(): Promise<void> {
    this.isOn = false;
    await this.writing;
    const all = (): boolean => this.readers.every(({ seen }) => seen.length >= this.created);
    await until(all, 'what was created to reach everybody');
    await Promise.all(this.readers.map((reader) => reader.stop()));
  }
}

const by = (who: string): Promise<number> =>
  metric(gateway.url, 'legacy_requests_total', `route="/api/updates",answered_by="${who}"`);
const serve = (percent: number): Promise<unknown> =>
  admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent, reason: 'test' });

it('switches from the old backend to Turnout and back under load, without one failed request', async () => {
  const load = new Load();
  await load.begin(nginx.url, 30);
  await until(() => load.created > 10);
  expect(await by('upstream')).toBe(0);
  for (const percent of [0, 100]) {
    await serve(percent);
    const who = percent === 0 ? 'upstream' : 'turnout';
    const before = await by(who);
    await nginx.switchTo('turnout_or_backend');
    await until(
      () => by(who),
      `polls answered by ${who}`,
      (seen) => seen > before + 100,
    );
    await nginx.switchTo('backend');
    await sleep(200);
  }
  await load.end();
  const wanted = Array.from({ length: load.created }, (_, at) => at + 1);
  for (const { seen, failed } of load.readers) {
    expect(failed).toBe(0);
    expect(seen.map(({ id }) => id)).toEqual(wanted);
  }
  // 499: the clients that left in the end.
  const fine = new Set([200, 201, 204, 499]);
  expect((await nginx.answers()).filter(({ status }) => !fine.has(status))).toEqual([]);
});

it('carries WebSocket of the site’s own pages, and tells the old backend who asks', async () => {
  await nginx.switchTo('turnout_or_backend');
  await serve(0);
  const client = new AcmeClient(nginx.url);
  await client.login('ann', someTenant());
  await client.poll(0, 0);
  expect(between.asked).toMatchObject({
    'x-forwarded-for': '127.0.0.1, 127.0.0.1',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': new URL(nginx.url).host,
  });
  const stream = new StreamClient(nginx.url, {
    token: await makeToken({ sub: 'ann', org: 'acme' }),
    headers: { origin: nginx.url },
    first: { services: ['updates'], version: 1 },
  });
  await stream.next('ack');
  stream.socket.terminate();
});

it('goes straight to the old backend when Turnout dies under load, without one failed request', async () => {
  await serve(100);
  const load = new Load();
  await load.begin(nginx.url, 30);
  await until(() => load.created > 10);
  await gateway.kill();
  const { created } = load;
  await until(() => load.created > created + 20);
  await load.end();
  for (const { seen, failed } of load.readers) {
    expect(failed).toBe(0);
    expect(seen).toHaveLength(load.created);
  }
});
