/**
 * docs/ops/haproxy-turnout.cfg as it stands, but for its addresses, in a real HAProxy: polls are held, streams stay, a node
 * that drains is given nothing new, and nobody's request fails for it.
 */
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PollBody } from '../../schema/http.ts';
import { AcmeClient, AcmeReader } from '../support/acme/client.ts';
import { writeAcmeProfile } from '../support/acme/profile.ts';
import { type Acme, startAcme } from '../support/acme/server.ts';
import { Haproxy } from '../support/haproxy.ts';
import { type Answer, call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { metric, Publisher } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until, within } from '../support/until.ts';

const services = ['finance'];
const drainMs = 1500;

let redis: RedisServer;
let acme: Acme;
let site: Server;
/** What the company's site was told of who asks. */
const forwardedFor: (string | undefined)[] = [];
let profile: Awaited<ReturnType<typeof writeAcmeProfile>>;
let nodes: readonly Gateway[] = [];
let haproxy: Haproxy;
let front = '';

/** The company behind an ear for X-Forwarded-For. */
function siteOf(company: Acme): Server {
  return createServer((asked, answer) => {
    forwardedFor.push(asked.headers['x-forwarded-for'] as string | undefined);
    const { method = 'GET', headers, url = '/' } = asked;
    const passed = request(company.url + url, { method, headers }, (from) => {
      answer.writeHead(from.statusCode ?? 502, from.headers);
      from.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
  });
}

beforeAll(async () => {
  redis = await RedisServer.start();
  acme = await startAcme({ redisUrl: redis.url });
  site = siteOf(acme).listen(0, '127.0.0.1');
  await once(site, 'listening');
  const sitePort = (site.address() as AddressInfo).port;
  profile = await writeAcmeProfile({ url: `http://127.0.0.1:${sitePort}`, redisUrl: redis.url });
  const settings = {
    ...profile.settings,
    TURNOUT_REDIS_URL: redis.url,
    TURNOUT_DRAIN_MS: String(drainMs),
    TURNOUT_TRUSTED_PROXIES: '127.0.0.1',
  };
  nodes = await Promise.all([1, 2].map((n) => startGateway({ ...settings, TURNOUT_NODE_ID: `node-${n}` })));
  haproxy = await Haproxy.start({ nodes: nodes.map(({ url }) => url), site: `http://127.0.0.1:${sitePort}` });
  front = haproxy.url;
});

afterAll(async () => {
  await haproxy?.end();
  await Promise.all(nodes.map((node) => node.kill()));
  await profile?.remove();
  site?.close();
  site?.closeAllConnections();
  await acme?.stop();
  await redis?.stop();
});

/** What a node was given, answered already or not: of one reading, or what moves from the one to the other counts twice. */
async function taken(node: Gateway): Promise<number> {
  const { text } = await call(`${node.url}/metrics`);
  const counted =
    /^(turnout_http_requests_total\{route="\/v1\/realtime\/poll"|turnout_polls_held |turnout_connections_accepted_total |legacy_requests_(total\{|open ))/;
  return text
    .split('\n')
    .filter((line) => counted.test(line))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Asks until it is told to stop. @returns how often, and what was answered otherwise than 200 */
async function pollOn(token: string, signal: AbortSignal): Promise<{ asked: number; failed: string[] }> {
  const seen = { asked: 0, failed: [] as string[] };
  for (let cursor: string | undefined = 'earliest'; !signal.aborted; ) {
    try {
      const answer: Answer<PollBody> = await poll(front, token, {
        services: services.join(','),
        cursor,
        wait: 1,
      });
      seen.asked += 1;
      if (answer.status === 200) cursor = answer.body.cursor;
      else seen.failed.push(`${answer.status} ${answer.text}`);
    } catch (error) {
      seen.failed.push(String(error));
    }
  }
  return seen;
}

it('holds polls and streams, and passes the rest to the site, told who asks', async () => {
  const token = await makeToken();
  const publisher = new Publisher(nodes[0]?.url ?? '');
  const stream = await openStream(front, token, services);
  const held = poll(front, token, { services: 'finance', cursor: 'earliest', wait: 30 });
  await until(
    async () =>
      (await Promise.all(nodes.map((node) => metric(node.url, 'turnout_polls_held')))).some((n) => n === 1),
    'a held poll',
  );
  await publisher.publish({ service: 'finance' });
  expect((await held).body.events).toHaveLength(1);
  expect(await stream.nextEvents(1)).toHaveLength(1);
  stream.socket.close();

  const claimed = { 'x-forwarded-for': '6.6.6.6' };
  expect((await call(`${front}/whoami`, { headers: claimed })).status).toBe(401);
  expect((await call(`${front}/api/updates?since=0&timeout=0`, { headers: claimed })).status).toBe(401);
  // By itself, and through Turnout, which adds its own peer.
  expect(forwardedFor.slice(-2)).toEqual(['127.0.0.1', '127.0.0.1, 127.0.0.1']);
  for (const path of ['/admin/v1/rollout', '/v1/publish', '/metrics'])
    expect((await call(`${front}${path}`)).headers['x-powered-by'], path).toBe('Express');
});

it('gives a draining node nothing new, and no request fails', async () => {
  const [first, second] = nodes as [Gateway, Gateway];
  const client = new AcmeClient(front);
  expect(await client.login('ann', 'drained')).toBe(200);
  const readers = Array.from({ length: 4 }, () => new AcmeReader(client, 2));
  const stopping = new AbortController();
  const tokens = await Promise.all(['ann', 'bob', 'cid', 'dan'].map((sub) => makeToken({ sub })));
  const polling = tokens.map((token) => pollOn(token, stopping.signal));
  const streams = await Promise.all(tokens.map((token) => openStream(front, token, services)));
  let count = 0;
  const writing = (async () => {
    for (; !stopping.signal.aborted; count += 1) {
      await client.create('tick', { count });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  await until(
    () => taken(first),
    'traffic on the first node',
    (seen) => seen > 5,
  );

  // Longer than the drain: the old backend holds them until they have to be asked elsewhere.
  const quiet = new AcmeClient(front);
  expect(await quiet.login('eve', 'quiet')).toBe(200);
  const patient = Promise.all(readers.map(() => quiet.poll(0, 2)));
  const passing = (): Promise<number> => metric(first.url, 'legacy_requests_open');
  await until(
    () => passing(),
    'old polls held on the first node',
    (seen) => seen >= 2,
  );

  first.signal('SIGTERM');
  await haproxy.untilSaid(/turnout\/\S*node1 is DOWN/);
  const before = await taken(first);
  const late = await Promise.all(tokens.map((token) => openStream(front, token, services)));
  for (let n = 0; n < 20; n += 1) expect((await client.poll(0, 0)).status).toBe(200);
  // Unless it has ended meanwhile, and was given nothing for that.
  expect(await taken(first).catch(() => before)).toBeLessThanOrEqual(before);
  await within(first.exited, 'the end of the first node');
  expect(readers.map(({ failed }) => failed)).toEqual([0, 0, 0, 0]);
  expect(late.every(({ closed }) => closed === undefined)).toBe(true);
  for (const { status } of await patient) expect(status).toBe(204);
  // Streams are told to go elsewhere; those of the other node stay.
  for (const { closed } of streams) expect([undefined, 1012]).toContain(closed?.code);

  stopping.abort();
  await writing;
  for (const { asked, failed } of await Promise.all(polling)) {
    expect(failed).toEqual([]);
    expect(asked).toBeGreaterThan(1);
  }

  // With no node left, the site answers the old path by itself.
  await second.kill();
  await haproxy.untilSaid(/turnout\/\S*node2 is DOWN/);
  const id = await client.create('tick', { count });
  await until(() => readers.every(({ seen }) => seen.length === id), 'everything that was written');
  await Promise.all(readers.map((reader) => reader.stop()));
  for (const { seen } of readers)
    expect(seen.map((update) => update.id)).toEqual(Array.from({ length: id }, (_, at) => at + 1));
});
