/** `turnout rollout`: what an operator does at night, and what scripts get from it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changeAnswerSchema, decisionBodySchema, rolloutBodySchema } from '../../schema/admin.ts';
import { GatewayPool } from '../support/gateway-pool.ts';
import { type Gateway, type Settings, startGateway } from '../support/node-process.ts';
import { admin } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { makeToken } from '../support/token-maker.ts';
import { asAdmin, turnout, TurnoutCommand, type Variables } from '../support/turnout-command.ts';
import { openStream } from '../support/stream-client.ts';
import { until } from '../support/until.ts';

let folder: string;
let pool: GatewayPool;
let folders = 0;
const newFolder = (): string => join(folder, String((folders += 1)));
// A run folder each: `kill --local` must reach the test's node alone.
const node = (settings: Settings = {}): Settings => ({
  TURNOUT_NODE_ID: 'node-a',
  TURNOUT_RUN_DIR: newFolder(),
  ...settings,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-cli-'));
  pool = await GatewayPool.start([node(), node()]);
});
afterAll(async () => {
  await pool.kill();
  await rm(folder, { recursive: true });
});

const it = test
  /** A node as it comes up: everybody on WebSocket. */
  .extend('gateway', async ({ onTestFinished }) => {
    const gateway = await pool.take();
    onTestFinished(() => pool.give(gateway));
    const restore: [string, string, object][] = [
      ['POST', '/rollout/unkill', {}],
      ['PUT', '/rollout/enabled', { enabled: true }],
      ['PUT', '/rollout/percent', { percent: 100 }],
    ];
    for (const [method, path, body] of restore) {
      const answer = await admin(gateway.url, method, path, { reason: 'the next test', ...body });
      expect(answer.status, answer.text).toBe(200);
    }
    return gateway;
  })
  /** Starts a node with settings of its own. */
  .extend('startWith', ({ onTestFinished }) => async (settings: Settings): Promise<Gateway> => {
    const gateway = await startGateway(node(settings));
    onTestFinished(() => gateway.kill());
    return gateway;
  });

const at =
  ({ url }: Gateway) =>
  (...args: readonly string[]) =>
    turnout(['rollout', ...args], asAdmin(url));
const readRollout = async ({ url }: Gateway) =>
  rolloutBodySchema.parse((await admin(url, 'GET', '/rollout')).body);
const because = ['--reason', 'step 3'];
const json = ['-o', 'json'];

describe.concurrent('turnout rollout', () => {
  it('sets the percentage, and says which nodes have it', async ({ gateway }) => {
    const rollout = at(gateway);
    const set = await rollout('set', '12.5', ...because);
    expect(set, set.err).toMatchObject({ exit: 0, err: '' });
    expect(set.out).toMatch(/^percent set to 12\.5 %: v\d+, 1\/1 have v\d+/);
    expect(await readRollout(gateway)).toMatchObject({
      percent: 12.5,
      enabled: true,
      acks: { 'node-a': expect.any(Number) },
    });
    expect((await rollout('get')).out).toMatch(/^percent +12\.5 %, set .* by admin-token: "step 3"$/m);
    const forScripts = await rollout('set', '0', ...because, ...json);
    expect(changeAnswerSchema.parse(JSON.parse(forScripts.out))).toMatchObject({
      written: true,
      laggards: [],
    });
  });

  it('turns the flag off and on, holds moves and goes on', async ({ gateway }) => {
    const rollout = at(gateway);
    expect(await rollout('disable', ...because)).toMatchObject({ exit: 0 });
    expect((await rollout('get')).out).toMatch(/^OFF /);
    expect((await rollout('set', '50', ...because)).out).toContain('the flag is off: turnout rollout enable');
    expect(await rollout('enable', ...because)).toMatchObject({ exit: 0 });
    expect(await rollout('pause', ...because)).toMatchObject({ exit: 0 });
    expect((await rollout('get')).out).toMatch(/^PAUSED /);
    expect(await rollout('resume', ...because)).toMatchObject({ exit: 0 });
    expect((await rollout('get')).out).toMatch(/^STEADY +50 %/);
  });

  it('kills and undoes it, and shows since when, by whom and why', async ({ gateway }) => {
    const rollout = at(gateway);
    expect(await rollout('kill', '--reason', 'latency doubled')).toMatchObject({ exit: 0 });
    const { out } = await rollout('get');
    expect(out).toMatch(/^KILLED /);
    expect(out).toMatch(
      /^killed +by the rules, on every node, since .*Z \(.* ago\), by admin-token: "latency doubled"$/m,
    );
    expect(out).toMatch(/^next .*turnout rollout unkill --reason/m);
    expect((await rollout('why', 'acme/ann')).out).toMatch(/^acme\/ann gets long-poll .*kill switch/);
    expect(await rollout('unkill', ...because)).toMatchObject({ exit: 0 });
    expect(await readRollout(gateway)).toMatchObject({ killed: false });
  });

  it('says why a user gets what they get, and where they are', async ({ gateway }) => {
    const rollout = at(gateway);
    const stream = await openStream(gateway.url, await makeToken(), ['chat']);
    const told = await rollout('why', 'acme/ann');
    expect(told.out).toMatch(
      /^acme\/ann gets websocket \(canary, rules v\d+\) because their bucket \d+ of 10,000 is inside/,
    );
    expect(told.out).toMatch(/^Connected to node-a by websocket since .*, 0 events behind\.$/m);
    await stream.close();
    const parsed = decisionBodySchema.parse(JSON.parse((await rollout('why', 'acme/ann', ...json)).out));
    expect(parsed).toMatchObject({ org: 'acme', user: 'ann', transport: 'websocket', reason: 'rollout' });
  });

  it('tells a version conflict, and who was first', async ({ gateway }) => {
    const rollout = at(gateway);
    const { version } = await readRollout(gateway);
    const ifVersion = ['--if-version', String(version)];
    expect(await rollout('set', '10', '--reason', 'I was first', ...ifVersion)).toMatchObject({ exit: 0 });
    const late = await rollout('set', '20', ...because, ...ifVersion);
    expect(late.exit).toBe(4);
    expect(late.err).toContain(`admin-token was first with v${version + 1} (percent, "I was first")`);
    expect(await readRollout(gateway)).toMatchObject({ percent: 10 });
  });

  it.for(['REALTIME_STREAMING_V2', 'REALTIME_ROLLOUT_PERCENT'])(
    'ends with 5 while every node is capped by %s',
    async (name, { startWith }) => {
      const rollout = at(
        await startWith({
          REALTIME_STREAMING_V2: undefined,
          REALTIME_ROLLOUT_PERCENT: undefined,
          [name]: '0',
        }),
      );
      const set = await rollout('set', '10', ...because);
      expect(set.exit).toBe(5);
      expect(set.out).toContain(`node-a by ${name}`);
      const get = await rollout('get');
      expect(get.exit).toBe(5);
      expect(get.out).toMatch(/^CAPPED /);
      expect(get.out).toContain(`unset ${name} on the nodes`);
      expect(await rollout('get', ...json)).toMatchObject({ exit: 5 });
    },
  );

  it('refuses without a reason, a percentage or a gateway', async ({ gateway }) => {
    const rollout = at(gateway);
    const refused = await Promise.all([
      rollout('set', '10'),
      rollout('set', '10', '--reason', ' '),
      rollout('set', '100.001', ...because),
      rollout('set', '101', ...because),
      rollout('why', 'ann'),
      turnout(['rollout', 'get', '--url', 'http://127.0.0.1:1']),
    ]);
    expect(refused.map(({ exit }) => exit)).toEqual([1, 1, 1, 1, 1, 3]);
    expect(refused[0]?.err).toContain('--reason');
    expect((await readRollout(gateway)).percent).toBe(100);
  });

  it('says that a kill could not be written, obeys it, and what to do on the other nodes', async ({
    startWith,
  }) => {
    const redis = await RedisServer.start();
    try {
      const rollout = at(await startWith({ TURNOUT_REDIS_URL: redis.url }));
      await until(async () => (await rollout('get')).exit, 'the rules', 0);
      await redis.kill();
      const killed = await rollout('kill', '--reason', 'Redis is gone');
      expect(killed, killed.err).toMatchObject({ exit: 5, out: expect.stringContaining('NOT WRITTEN') });
      expect(killed.out).toContain('turnout kill --local');
      const { out } = await rollout('get');
      expect(out).toMatch(/^KILLED /);
      expect(out).toMatch(/^killed .* on the node that answered/m);
    } finally {
      await redis.stop();
    }
  });

  it('shows the code of a refusal, and never the token', async ({ gateway }) => {
    const token = await makeToken();
    const refused = await turnout(['rollout', 'get'], { TURNOUT_URL: gateway.url, TURNOUT_TOKEN: token });
    expect(refused).toMatchObject({ exit: 2, out: '', err: expect.stringContaining('(role_required)') });
    const forged = await turnout(['rollout', 'get', '--token', `${token}x`, '--url', gateway.url, ...json]);
    expect(forged.exit).toBe(2);
    expect(JSON.parse(forged.err)).toMatchObject({ error: { exit: 2, code: 'unauthorized' } });
    expect(forged.err).not.toContain(token);
  });

  it.each([
    ['a percentage that is none', ['rollout', 'set', '101', '--reason', 'step 3', ...json], "'101'"],
    ['no reason', ['rollout', 'kill', '--output=json'], '--reason'],
    ['a command that is none', ['-ojson', 'revive'], '-ojson'],
  ])('tells scripts of %s in a line of JSON, before anybody is asked', async (_what, args, named) => {
    const { exit, out, err } = await turnout(args, {});
    expect({ exit, out }).toEqual({ exit: 1, out: '' });
    expect(JSON.parse(err)).toMatchObject({ error: { exit: 1, message: expect.stringContaining(named) } });
  });

  it('goes on showing it until Ctrl-C', async ({ gateway }) => {
    const rollout = at(gateway);
    const watch = new TurnoutCommand(['rollout', 'get', '-w', ...json], asAdmin(gateway.url));
    await watch.untilOut((lines) => lines.length === 1, 'the first look');
    await rollout('set', '7', ...because);
    await watch.untilOut((lines) => lines.length >= 2, 'the change');
    expect(await watch.interrupt()).toMatchObject({ exit: 0 });
    const percents = watch.out.map((line) => rolloutBodySchema.parse(JSON.parse(line)).percent);
    expect([percents[0], percents.at(-1)]).toEqual([100, 7]);
  });
});

it.concurrent('turnout drain of the last node needs --yes, and says what it means', async ({ startWith }) => {
  const gateway = await startWith({ TURNOUT_DRAIN_MS: '100' });
  const drain = (...args: readonly string[]) =>
    turnout(['drain', 'node-a', ...because, ...args], asAdmin(gateway.url));
  const refused = await drain();
  expect(refused, refused.out).toMatchObject({
    exit: 1,
    err: expect.stringMatching(/node-a is the last node[^]*--yes/),
  });
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
  expect(await drain('--yes')).toMatchObject({
    exit: 0,
    out: expect.stringContaining('node-a drains'),
    err: expect.stringContaining('node-a is the last node'),
  });
  expect(await gateway.exited).toBe(0);
});

describe.concurrent('turnout kill --local', () => {
  const local = (variables: Variables, ...args: readonly string[]) =>
    turnout(['kill', '--local', ...args], variables);

  it("kills this machine's nodes without a token, a URL or a file", async ({ startWith }) => {
    const runFolder = newFolder();
    const gateway = await startWith({ TURNOUT_RUN_DIR: runFolder });
    const rollout = at(gateway);
    const killed = await local({ TURNOUT_RUN_DIR: runFolder }, '--reason', 'Redis is gone');
    expect(killed, killed.err).toMatchObject({
      exit: 0,
      out: expect.stringContaining('KILLED    node node-a obeys'),
    });
    expect(await readRollout(gateway)).toMatchObject({ killed: true });
    expect((await rollout('get')).out).toMatch(/^killed .*: Redis is gone"/m);
    expect(await rollout('unkill', ...because)).toMatchObject({ exit: 0 });
    expect(await readRollout(gateway)).toMatchObject({ killed: false });
  });

  it('makes a kill file that stands until it is removed, and keeps who was first', async ({ startWith }) => {
    const killFile = newFolder();
    const gateway = await startWith({ TURNOUT_KILL_FILE: killFile });
    const rollout = at(gateway);
    // It finds the file and no node.
    const byFile: Variables = { TURNOUT_KILL_FILE: killFile, TURNOUT_RUN_DIR: newFolder() };
    const killed = await local(byFile, '--reason', 'Redis is gone', ...json);
    expect(JSON.parse(killed.out)).toEqual({ nodes: [], file: { path: killFile, did: 'made' } });
    await until(async () => (await readRollout(gateway)).killed, 'the node to obey');
    expect((await rollout('get')).out).toContain(`on the node that answered, by its kill file ${killFile}`);
    expect((await local(byFile, '--reason', 'again')).out).toContain('Redis is gone');

    const unkill = await rollout('unkill', ...because);
    expect(unkill).toMatchObject({ exit: 4, err: expect.stringContaining(killFile) });
    expect(unkill.err).toContain('turnout kill --local --undo');

    expect(await local(byFile, '--undo')).toMatchObject({ exit: 0 });
    await until(async () => !(await readRollout(gateway)).killed, 'the node to serve again');
    expect(await local(byFile, '--undo')).toMatchObject({
      exit: 0,
      out: expect.stringContaining('nothing'),
    });
  });

  it('ends with 5 where the rules could not be written, and says what that means', async ({
    startWith,
    onTestFinished,
  }) => {
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const runFolder = newFolder();
    await startWith({ TURNOUT_RUN_DIR: runFolder, TURNOUT_REDIS_URL: redis.url });
    await redis.kill();
    const killed = await local({ TURNOUT_RUN_DIR: runFolder });
    expect(killed, killed.err).toMatchObject({ exit: 5, out: expect.stringContaining('node node-a obeys') });
    expect(killed.out).toMatch(/^next +on every other machine: turnout kill --local$/m);
  });

  it('says what to do where it can reach no node', async ({ gateway }) => {
    const nowhere = await turnout(['kill', '--local'], { TURNOUT_RUN_DIR: newFolder() });
    expect(nowhere).toMatchObject({ exit: 3, err: expect.stringContaining('TURNOUT_KILL_FILE') });
    const bare = await turnout(['kill']);
    expect(bare).toMatchObject({ exit: 1, err: expect.stringContaining('turnout rollout kill') });
    expect(await readRollout(gateway)).toMatchObject({ killed: false });
  });
});
