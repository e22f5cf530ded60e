/** A company's own tests of its API pass wherever the API is served: by itself, and through Turnout, unchanged. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { acmeSuite } from '../support/acme/suite.ts';
import { type Settings, startGateway } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';

interface Served {
  readonly url: string;
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

const ways: readonly Way[] = [
  { name: 'by itself', open: ({ url }) => Promise.resolve({ url, close: () => Promise.resolve() }) },
  { name: 'through passthrough', open: through({}) },
];

describe.each(ways)('the company’s API, served $name', ({ open }) => {
  let served: Served;
  beforeAll(async () => {
    served = await open(acme, redis);
  });
  afterAll(() => served.close());

  it.concurrent.for(acmeSuite)('$promise', async ({ run }, { expect }) => {
    await expect(run(served.url)).resolves.toBeUndefined();
  });
});
