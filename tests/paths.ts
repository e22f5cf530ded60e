/**
 * Prints which files of src a request adds: those with a function that runs for it and has not run on the same node before,
 * from its start through its clients' connecting and an idle while. Below them: all that ran for it, the idle while apart.
 * V8's precise coverage counts them, in this process.
 * `npx tsx tests/paths.ts`, or with `change`, `change-redis` or `served` for one path alone.
 */
import { Session } from 'node:inspector/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../src/clock.ts';
import { readConfig } from '../src/config/config.ts';
import { openGateway } from '../src/gateway/gateway.ts';
import { createLogger } from '../src/logger.ts';
import { AcmeClient } from './support/acme/client.ts';
import { writeAcmeProfile } from './support/acme/profile.ts';
import { startAcme } from './support/acme/server.ts';
import { admin, metric } from './support/publisher.ts';
import { RedisServer } from './support/redis.ts';
import { root } from './support/sources.ts';
import { StreamClient } from './support/stream-client.ts';
import { makeToken, testAdminToken, testSecret } from './support/token-maker.ts';
import { sleep, until } from './support/until.ts';

const idleMs = 3000;
const inspector = new Session();
inspector.connect();
await inspector.post('Profiler.enable');
await inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

/** Functions of src that ran since the last call, as `file:function:offset`. */
async function functionsRun(): Promise<readonly string[]> {
  const { result } = await inspector.post('Profiler.takePreciseCoverage');
  return result.flatMap(({ url, functions }) => {
    const file = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : '';
    if (!file.startsWith('src/')) return [];
    const run = functions.filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0);
    return run.map(({ functionName, ranges }) => `${file}:${functionName}:${ranges[0]?.startOffset ?? 0}`);
  });
}

const filesOf = (functions: readonly string[]): string[] =>
  [...new Set(functions.map((one) => one.split(':')[0] ?? ''))].toSorted();

async function tell(name: string, run: () => Promise<void>): Promise<void> {
  const atStart = await functionsRun();
  await sleep(idleMs);
  const whileIdle = await functionsRun();
  await run();
  const functions = await functionsRun();
  const [before, idle] = [new Set([...atStart, ...whileIdle]), new Set(whileIdle)];
  const added = filesOf(functions.filter((one) => !before.has(one)));
  console.log(`${name}: ${added.length} files`);
  for (const file of added) console.log(`  ${file}`);
  // Those too that served something earlier on the same node.
  const ran = filesOf(functions.filter((one) => !idle.has(one)));
  const ofHttp = ran.filter((file) => file.startsWith('src/http/'));
  console.log(
    `  and of all that ran for it, in http/: ${ofHttp.join(' ') || 'nothing'}; ${ran.length} files`,
  );
}

async function openNode(settings: Record<string, string>) {
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_ADMIN_TOKEN: testAdminToken,
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
    ...settings,
  });
  return openGateway({ config, clock: systemClock, logger: createLogger('silent') });
}

/** A percentage that sends the one connected user back, up to the `migrate` frame. */
async function change(name: string, settings: Record<string, string>): Promise<void> {
  const node = await openNode(settings);
  // A node on Redis begins without rules.
  await until(async () => (await fetch(`${node.url}/readyz`)).ok, 'readiness');
  const client = new StreamClient(node.url, {
    token: await makeToken(),
    first: { services: ['chat'], version: 1 },
  });
  await until(() => client.frames.some(({ type }) => type === 'ack'), 'the ack');
  await tell(name, async () => {
    await admin(node.url, 'PUT', '/rollout/percent', { percent: 0, reason: 'the path' });
    await until(() => client.frames.some(({ type }) => type === 'migrate'), 'the migrate frame');
  });
  client.socket.terminate();
  await node.drain();
}

/** A poll of a legacy client that Turnout answers from its log. */
async function served(): Promise<void> {
  const [company, redis] = await Promise.all([RedisServer.start(), RedisServer.start()]);
  const acme = await startAcme({ redisUrl: company.url });
  const profile = await writeAcmeProfile({ url: acme.url, redisUrl: company.url });
  Object.assign(process.env, profile.settings);
  const node = await openNode({ ...profile.settings, TURNOUT_REDIS_URL: redis.url });
  await admin(node.url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'the path' });
  const client = new AcmeClient(node.url);
  await client.login('ann', 'acme');
  const first = await client.create('note', 1);
  await client.create('note', 2);
  await until(async () => (await metric(node.url, 'turnout_bridge_fed')) === 1, 'the bridge');
  await tell('a served poll', async () => {
    await client.poll(first, 0);
  });
  const route = 'route="/api/updates",answered_by="turnout"';
  if ((await metric(node.url, 'legacy_requests_total', route)) !== 1)
    throw new Error('the poll was not served');
  await node.drain();
  await acme.stop();
  await Promise.all([company.stop(), redis.stop(), profile.remove()]);
}

async function changeOnRedis(): Promise<void> {
  const redis = await RedisServer.start();
  await change('PUT percent to migrate, rules in Redis', { TURNOUT_REDIS_URL: redis.url });
  await redis.stop();
}

const paths: Readonly<Record<string, () => Promise<void>>> = {
  change: () => change('PUT percent to migrate', {}),
  'change-redis': changeOnRedis,
  served,
};
const chosen = process.argv.slice(2);
for (const [name, run] of Object.entries(paths))
  if (chosen.length === 0 || chosen.includes(name)) await run();
process.exit();
