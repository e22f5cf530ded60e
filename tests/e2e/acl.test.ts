/** A Redis that others use too, and a user with the commands that docs/guides/redis.md lists and no other. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctorReportSchema } from '../../src/cli/findings.ts';
import { redisRights } from '../../src/redis/rights.ts';
import { bridgeProfile, pubsubSource, streamSource } from '../support/bridge-profiles.ts';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { makeProducerToken, makeToken, testAdminToken, testSecret } from '../support/token-maker.ts';
import { turnout } from '../support/turnout-command.ts';
import { until } from '../support/until.ts';

const password = 'a-password-of-the-tests';
const page = readFileSync('docs/guides/redis.md', 'utf8');

/** The words of the page's own line for that user, its keys and channels replaced where a test has others. */
function documentedUser(name: string, replaced: Readonly<Record<string, string>> = {}): string[] {
  const line = page.split('\n').find((one) => one.startsWith(`ACL SETUSER ${name} `));
  if (line === undefined) throw new Error(`docs/guides/redis.md has no user ${name}`);
  return line
    .split(' ')
    .slice(2)
    .map((word) => (word === '>PASSWORD' ? `>${password}` : (replaced[word] ?? word)));
}

describe('a user with only the documented commands', () => {
  let redis: RedisServer;
  let folder: string;
  let gateways: Gateway[] = [];
  let url: string;
  let foreign: Map<string, string>;

  const setUser = async (words: readonly string[]): Promise<void> => {
    await redis.client.call('ACL', ['SETUSER', ...words]);
  };
  /** Every key that is not Turnout's, with what it holds. */
  const others = async (): Promise<Map<string, string>> => {
    const names = (await redis.client.keys('*')).filter((key) => !key.startsWith('turnout:')).toSorted();
    return new Map(
      await Promise.all(
        names.map(async (key) => [key, String(await redis.client.dumpBuffer(key))] as [string, string]),
      ),
    );
  };

  beforeAll(async () => {
    redis = await RedisServer.start({ appendOnly: true });
    url = `redis://turnout:${password}@127.0.0.1:${redis.port}`;
    await setUser(documentedUser('turnout'));
    await setUser(
      documentedUser('turnout-source', { '%R~updates:*': '%R~old-stream:*', '&updates:*': '&old-channel:*' }),
    );
    const { client } = redis;
    await client.set('turnouts', 'of another');
    await client.hset('session:1', 'user', 'ann');
    await client.rpush('queue', 'a', 'b');
    await client.xadd('old-stream:acme', '*', 'kind', 'update', 'data', '{"n":1}');
    foreign = await others();
    folder = await mkdtemp(join(tmpdir(), 'turnout-acl-'));
    const source = `redis://turnout-source:${password}@127.0.0.1:${redis.port}`;
    for (const [name, of] of Object.entries({
      streams: streamSource(source),
      channel: pubsubSource(source),
    }))
      await writeFile(join(folder, `${name}.json`), JSON.stringify(bridgeProfile(name, of)));
    gateways = await Promise.all(
      ['node-a', 'node-b'].map((nodeId) =>
        startGateway({ TURNOUT_REDIS_URL: url, TURNOUT_NODE_ID: nodeId, TURNOUT_PROFILES: folder }),
      ),
    );
  });
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.kill()));
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  it('lists every command that the sources call', () => {
    const listed = redisRights.map(({ command }) => `+${command}`);
    expect(documentedUser('turnout').filter((word) => word.startsWith('+'))).toEqual(listed);
    const called = new Set<string>();
    for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|lua)$/.test(file) || file.startsWith('legacy/bridge/sources/')) continue;
      for (const [, command = ''] of readFileSync(join('src', file), 'utf8').matchAll(
        /redis\.p?call\('([A-Z]+)'|\.call\('([A-Z]+)'/g,
      ))
        if (command !== '') called.add(command.toLowerCase());
    }
    expect(called.size).toBeGreaterThan(15);
    expect([...called].filter((command) => !listed.includes(`+${command}`))).toEqual([]);
  });

  it('appends, reads, bridges, turns the percentage, asks the other node and kills', async () => {
    const [a, b] = gateways;
    if (a === undefined || b === undefined) throw new Error('two nodes were started');
    const token = await makeToken();
    const poll = (since: string) =>
      call<{ events: { id: string }[] }>(`${b.url}/v1/realtime/poll?services=updates,chat&wait=0&${since}`, {
        token,
      });
    // The bridge of the channel must listen before something is said there.
    await until(
      async () => (await redis.client.publish('old-channel:acme', '{"id":"m1","kind":"k","data":1}')) > 0,
    );
    const published = await call(`${a.url}/v1/publish`, {
      token: await makeProducerToken(),
      body: { org: 'acme', service: 'chat', type: 'note', id: 'p1', payload: {} },
    });
    expect(published.status).toBe(200);
    const streamed = (await redis.client.xrange('old-stream:acme', '-', '+'))[0]?.[0];
    await until(async () => {
      const { body } = await poll('cursor=earliest');
      const ids = body.events.map(({ id }) => id);
      return ['m1', 'p1', streamed].every((id) => id !== undefined && ids.includes(id));
    }, 'all three events, read from the other node');

    const admin = { token: testAdminToken };
    const rollout = `${a.url}/admin/v1/rollout`;
    expect((await call(rollout, admin)).status).toBe(200);
    expect((await call(`${rollout}/kill`, { ...admin, body: { reason: 'a test' } })).status).toBe(200);
    expect((await call(`${a.url}/admin/v1/audit`, admin)).status).toBe(200);
    expect((await call(`${a.url}/admin/v1/sessions`, admin)).status).toBe(200);
    for (const gateway of gateways) {
      const { text } = await call(`${gateway.url}/readyz`);
      expect(text).not.toContain('may not');
    }
    expect(await redis.client.call('ACL', ['LOG'])).toEqual([]);
    expect(await others()).toEqual(foreign);
  });

  it('is told by doctor, by a log line and by /readyz which command is missing', async () => {
    const examine = async () => {
      const { exit, out } = await turnout(['doctor', '-o', 'json'], {
        TURNOUT_PORT: '0',
        TURNOUT_JWT_SECRET: testSecret,
        TURNOUT_REDIS_URL: url,
      });
      const { findings } = doctorReportSchema.parse(JSON.parse(out));
      return { exit, rights: findings.find(({ about }) => about === 'redis rights') };
    };
    expect((await examine()).rights?.level).toBe('ok');
    await setUser(['turnout', '-xtrim', '-hlen']);
    const { exit, rights } = await examine();
    expect(exit).toBe(1);
    expect(rights).toMatchObject({ level: 'error', message: 'its user may not: hlen, xtrim' });

    const late = await startGateway({ TURNOUT_REDIS_URL: url, TURNOUT_NODE_ID: 'node-c' });
    gateways.push(late);
    const said = 'the Redis user may not hlen, xtrim under the prefix';
    expect(late.logs.filter(({ msg }) => String(msg).includes(said))).toHaveLength(1);
    await until(async () => (await call(`${late.url}/readyz`)).status, 'a node that serves', 200);
    expect((await call(`${late.url}/readyz`)).text).toContain(said);
  });
});
