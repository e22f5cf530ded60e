/** `turnout doctor`, with a node's environment: exit 1 where something must be put right, and never a secret. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type DoctorReport, doctorReportSchema } from '../../src/cli/findings.ts';
import { startGateway } from '../support/node-process.ts';
import { RedisServer } from '../support/redis.ts';
import { testSecret } from '../support/token-maker.ts';
import { turnout, type Variables } from '../support/turnout-command.ts';

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

const environment: Variables = { TURNOUT_PORT: '0', TURNOUT_JWT_SECRET: testSecret };
async function examine(variables: Variables = {}): Promise<{ exit: number | null; report: DoctorReport }> {
  const { exit, out } = await turnout(['doctor', '-o', 'json'], { ...environment, ...variables });
  expect(out).not.toContain(testSecret);
  return { exit, report: doctorReportSchema.parse(JSON.parse(out)) };
}
const about = ({ findings }: DoctorReport, level: string): string[] =>
  findings.filter((one) => one.level === level).map((one) => one.about);

async function startRedis(...config: readonly string[]): Promise<RedisServer> {
  const redis = await RedisServer.start({ appendOnly: true, config });
  endings.push(() => redis.stop());
  return redis;
}

describe('turnout doctor', () => {
  it('finds a running gateway, its clock and its port', async () => {
    const gateway = await startGateway();
    endings.push(() => gateway.kill());
    const port = new URL(gateway.url).port;
    const { exit, report } = await examine({ TURNOUT_URL: gateway.url, TURNOUT_PORT: port });
    expect(exit).toBe(0);
    expect(about(report, 'ok')).toEqual(expect.arrayContaining(['gateway', 'clock', 'port', 'signing key']));
    expect(await examine({ TURNOUT_URL: 'http://127.0.0.1:1' })).toMatchObject({ exit: 1 });
  });

  it('refuses settings that a node would not start with, and tells of brakes', async () => {
    const broken = await examine({ TURNOUT_PING_MS: 'soon' });
    expect(broken.exit).toBe(1);
    expect(about(broken.report, 'error')).toEqual(['settings']);

    const folder = await mkdtemp(join(tmpdir(), 'turnout-doctor-'));
    endings.push(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'kill'), 'why');
    const braked = await examine({ TURNOUT_KILL_FILE: join(folder, 'kill'), REALTIME_STREAMING_V2: 'false' });
    expect(braked.exit).toBe(0);
    expect(about(braked.report, 'warning')).toEqual(['cap', 'kill file', 'log']);
  });

  it('passes a Redis as it should be', async () => {
    const redis = await startRedis('--maxmemory', '256mb', '--maxmemory-policy', 'noeviction');
    const { exit, report } = await examine({ TURNOUT_REDIS_URL: redis.url });
    expect(about(report, 'error')).toEqual([]);
    expect(exit).toBe(0);
    expect(about(report, 'ok')).toEqual(
      expect.arrayContaining(['redis', 'redis eviction', 'redis role', 'redis persistence', 'redis clock']),
    );
  });

  it('refuses a Redis that evicts, and a replica; warns where AOF is off', async () => {
    const redis = await startRedis('--maxmemory-policy', 'allkeys-lru');
    const evicting = await examine({ TURNOUT_REDIS_URL: redis.url });
    expect(evicting.exit).toBe(1);
    expect(about(evicting.report, 'error')).toEqual(['redis eviction']);

    await redis.client.config('SET', 'maxmemory-policy', 'noeviction');
    await redis.client.config('SET', 'appendonly', 'no');
    expect(about((await examine({ TURNOUT_REDIS_URL: redis.url })).report, 'warning')).toContain(
      'redis persistence',
    );

    await redis.client.replicaof('127.0.0.1', 1);
    expect(about((await examine({ TURNOUT_REDIS_URL: redis.url })).report, 'error')).toEqual(['redis role']);
  });

  it('names the node whose keys are others, and no key', async () => {
    const redis = await startRedis('--maxmemory-policy', 'noeviction');
    const shared: Variables = { TURNOUT_REDIS_URL: redis.url };
    const otherSecret = `${testSecret}-of-node-b`;
    const nodes = await Promise.all([
      startGateway({ ...shared, TURNOUT_NODE_ID: 'node-a' }),
      startGateway({ ...shared, TURNOUT_NODE_ID: 'node-b', TURNOUT_JWT_SECRET: otherSecret }),
    ]);
    endings.push(...nodes.map((node) => () => node.kill()));
    const { exit, report } = await examine(shared);
    expect(exit).toBe(1);
    const errors = report.findings.filter(({ level }) => level === 'error');
    // Its tickets are signed by a key that is derived from the same secret.
    expect(errors.map(({ message }) => /^(\w+ key) of (\S+) is/.exec(message)?.slice(1))).toEqual([
      ['signing key', 'node-b'],
      ['ticket key', 'node-b'],
    ]);
    const told = await redis.client.hgetall('turnout:{!rules}:nodes');
    expect(Object.keys(told).toSorted()).toEqual(['node-a', 'node-b']);
    expect(JSON.stringify([told, report])).not.toContain(testSecret);

    const ticketSecret = { TURNOUT_TICKET_SECRET: 'a-ticket-secret-of-its-own' };
    await nodes[1]?.stop();
    const unlike = await examine({ ...shared, ...ticketSecret });
    expect(unlike.exit).toBe(1);
    expect(unlike.report.findings.filter(({ level }) => level === 'error')).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/^ticket key of node-a is/) as string }),
    ]);
    const alike = await examine(shared);
    expect(alike.exit).toBe(0);
    expect(about(alike.report, 'ok')).toContain('fleet keys');
  });

  it('tells a Redis that is away, without its password', async () => {
    const password = 'a-password-of-redis';
    const { exit, out } = await turnout(['doctor'], {
      ...environment,
      TURNOUT_REDIS_URL: `redis://:${password}@127.0.0.1:1`,
    });
    expect(exit).toBe(1);
    expect(out).toContain('127.0.0.1:1 cannot be asked');
    expect(out).not.toContain(password);
  });
});
