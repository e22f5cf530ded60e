/** TLS to Redis, with a certificate of the house's own authority, as docs/guides/redis.md says. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { call } from '../support/http-client.ts';
import { startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { publishRaw } from '../support/publisher.ts';
import { freePort } from '../support/ports.ts';
import { RedisServer } from '../support/redis.ts';
import { makeProducerToken, makeToken, testSecret } from '../support/token-maker.ts';
import { turnout } from '../support/turnout-command.ts';
import { until } from '../support/until.ts';

let certificates: Certificates;
let redis: RedisServer;
let sentinel: RedisServer;
let folder: string;
const ports = { redis: 0, sentinel: 0 };

beforeAll(async () => {
  certificates = await makeCertificates();
  for (const name of ['redis', 'sentinel'] as const) ports[name] = await freePort();
  redis = await RedisServer.start({ config: certificates.redis(ports.redis) });
  folder = await mkdtemp(join(tmpdir(), 'turnout-sentinel-'));
  const sentinelFile = join(folder, 'sentinel.conf');
  await writeFile(sentinelFile, `sentinel monitor main 127.0.0.1 ${ports.redis} 1\n`);
  sentinel = await RedisServer.start({ sentinelFile, config: certificates.redis(ports.sentinel) });
});
afterAll(async () => {
  await Promise.all([redis.stop(), sentinel.stop()]);
  await rm(folder, { recursive: true });
  await certificates.remove();
});

const detailOf = async (url: string) =>
  (await call<{ log: { detail: string } }>(`${url}/readyz`)).body.log.detail;

it.each([
  ['a server', () => `rediss://localhost:${ports.redis}`, 'redis, single'],
  [
    'a master that a Sentinel names',
    () => `rediss+sentinel://127.0.0.1:${ports.sentinel}/main`,
    'redis, sentinel',
  ],
])('serves from %s over TLS', async (what, url, detail) => {
  const org = what.replaceAll(' ', '-');
  const gateway = await startGateway({
    TURNOUT_REDIS_URL: url(),
    NODE_EXTRA_CA_CERTS: certificates.authority,
  });
  try {
    await until(() => detailOf(gateway.url), 'the log', detail);
    const token = await makeToken({ org });
    const { cursor } = (await poll(gateway.url, token, { services: 'chat' })).body;
    // Held: the event comes by a subscription, which is another connection.
    const held = poll(gateway.url, token, { services: 'chat', cursor, wait: 20 });
    const published = await publishRaw(gateway.url, await makeProducerToken(), {
      org,
      service: 'chat',
      type: 'said',
      payload: {},
    });
    expect(published.status, published.text).toBe(200);
    expect((await held).body.events).toHaveLength(1);
  } finally {
    await gateway.kill();
  }
});

it('says that a certificate is not trusted, on the node and in the doctor', async () => {
  const TURNOUT_REDIS_URL = `rediss://localhost:${ports.redis}`;
  const gateway = await startGateway({ TURNOUT_REDIS_URL });
  try {
    expect(await detailOf(gateway.url)).toContain('certificate is not trusted');
    const variables = { TURNOUT_REDIS_URL, TURNOUT_PORT: '0', TURNOUT_JWT_SECRET: testSecret };
    expect(await turnout(['doctor'], variables)).toMatchObject({
      exit: 1,
      out: expect.stringContaining('certificate'),
    });
  } finally {
    await gateway.kill();
  }
});
