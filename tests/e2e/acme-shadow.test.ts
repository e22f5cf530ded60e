/** The shadow of a real node: what an operator is told before anybody is served, and what when an answer differs. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { shadowBodySchema } from '../../schema/admin.ts';
import { type Between, startBetween } from '../support/acme/between.ts';
import { AcmeClient, type Update } from '../support/acme/client.ts';
import { knownTenants } from '../support/acme/suite.ts';
import { type AcmeProfile, writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { type Ran, runTurnout } from '../support/terminal.ts';
import { testAdminToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

let redis: RedisServer;
let acme: Acme;
let between: Between;
let profile: AcmeProfile;
let gateway: Gateway;
let client: AcmeClient;

beforeAll(async () => {
  redis = await RedisServer.start();
  acme = await startAcme({ redisUrl: redis.url });
  between = await startBetween(acme.url);
  profile = await writeAcmeProfile(
    { url: between.url, redisUrl: redis.url },
    '{ percent: 100, withinSeconds: 5 }',
  );
  const newTenant = await knownTenants(redis, 1);
  gateway = await startGateway(profile.settings);
  client = new AcmeClient(gateway.url);
  await client.login('ann', newTenant());
});
afterAll(async () => {
  await gateway.kill();
  await between.close();
  await acme.stop();
  await Promise.all([redis.stop(), profile.remove()]);
});

async function found() {
  const { body } = await admin(gateway.url, 'GET', '/legacy/shadow');
  const summary = shadowBodySchema.parse(body).profiles['acme-v1'];
  return summary ?? expect.fail('no shadow');
}
const shadow = (): Promise<Ran> =>
  runTurnout(['legacy', 'shadow'], { TURNOUT_URL: gateway.url, TURNOUT_ADMIN_TOKEN: testAdminToken });

it('says that all is the same, while it is', async () => {
  for (let n = 1; n <= 6; n += 1) await client.create('note', { n });
  // The first answers may come before the bridge has begun: the shadow waits for it.
  for (let since = 1; since <= 5; since += 1) expect((await client.poll(since, 1)).status).toBe(200);
  await until(async () => (await found()).compared, 'five comparisons', 5);
  const { code, out } = await shadow();
  expect(out).toContain('acme-v1: no difference that a client would see');
  expect(out).not.toContain('NOT the same');
  expect(code).toBe(0);
});

it.each<[string, string, (updates: Update[]) => unknown[]]>([
  ['drops one', 'extra', (updates) => updates.toSpliced(1, 1)],
  ['turns two round', 'order', (updates) => updates.toReversed()],
  [
    'writes one otherwise',
    'shape',
    (updates) => updates.map((one) => (one.id === 3 ? { ...one, kind: 7 } : one)),
  ],
])('names it when the old backend %s', async (_, kind, meddle) => {
  const before = await found();
  between.meddle = meddle;
  expect((await client.poll(1, 1)).status).toBe(200);
  await until(
    async () => (await found()).compared,
    'a comparison',
    (seen) => seen > before.compared,
  );
  const { code, out } = await shadow();
  expect(out).toContain('acme-v1: NOT the same');
  expect(out).toMatch(new RegExp(String.raw`^  ${kind} 1`, 'm'));
  expect(out).toMatch(new RegExp(`e\\.g\\. .* ${kind}`));
  expect(code).toBe(1);
});
