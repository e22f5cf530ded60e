/** `turnout rollout`: what an operator does at night, and what scripts get from it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { changeAnswerSchema, decisionBodySchema, rolloutBodySchema } from '../../schema/admin.ts';
import { type Gateway, type Settings, startGateway } from '../support/node-process.ts';
import { makeToken } from '../support/token-maker.ts';
import { asAdmin, turnout, TurnoutCommand } from '../support/turnout-command.ts';
import { openStream } from '../support/stream-client.ts';
import { until } from '../support/until.ts';

let folder: string;
let killFile: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-cli-'));
  killFile = join(folder, 'kill');
});
afterAll(() => rm(folder, { recursive: true }));

let gateway: Gateway;
const start = async (settings: Settings = {}): Promise<void> => {
  gateway = await startGateway({ TURNOUT_NODE_ID: 'node-a', TURNOUT_KILL_FILE: killFile, ...settings });
};
afterEach(async () => {
  await gateway.kill();
  await rm(killFile, { force: true });
});

const rollout = (...args: readonly string[]) => turnout(['rollout', ...args], asAdmin(gateway.url));
const because = ['--reason', 'step 3'];
const json = ['-o', 'json'];
const readRollout = async () => rolloutBodySchema.parse(JSON.parse((await rollout('get', ...json)).out));

describe('turnout rollout', () => {
  it('sets the percentage, and says which nodes have it', async () => {
    await start();
    const set = await rollout('set', '12.5', ...because);
    expect(set, set.err).toMatchObject({ exit: 0, err: '' });
    expect(set.out).toMatch(/^percent set to 12\.5 %: v\d+, 1\/1 have v\d+/);
    expect(await readRollout()).toMatchObject({
      percent: 12.5,
      enabled: true,
      acks: { 'node-a': expect.any(Number) },
    });
    expect((await rollout('get')).out).toMatch(/^percent +12\.5 %, set .* by admin-token: "step 3"$/m);
  });

  it('answers scripts with what the API answered', async () => {
    await start();
    const set = await rollout('set', '0', ...because, ...json);
    expect(changeAnswerSchema.parse(JSON.parse(set.out))).toMatchObject({ written: true, laggards: [] });
  });

  it('turns the flag off and on, holds moves and goes on', async () => {
    await start();
    expect(await rollout('disable', ...because)).toMatchObject({ exit: 0 });
    expect((await rollout('get')).out).toMatch(/^OFF /);
    expect((await rollout('set', '50', ...because)).out).toContain('the flag is off: turnout rollout enable');
    expect(await rollout('enable', ...because)).toMatchObject({ exit: 0 });
    expect(await rollout('pause', ...because)).toMatchObject({ exit: 0 });
    expect((await rollout('get')).out).toMatch(/^PAUSED /);
    expect(await rollout('resume', ...because)).toMatchObject({ exit: 0 });
    expect((await rollout('get')).out).toMatch(/^STEADY +50 %/);
  });

  it('kills and undoes it, and shows since when, by whom and why', async () => {
    await start();
    expect(await rollout('kill', '--reason', 'latency doubled')).toMatchObject({ exit: 0 });
    const { out } = await rollout('get');
    expect(out).toMatch(/^KILLED /);
    expect(out).toMatch(
      /^killed +by the rules, on every node, since .*Z \(.* ago\), by admin-token: "latency doubled"$/m,
    );
    expect(out).toMatch(/^next .*turnout rollout unkill --reason/m);
    expect((await rollout('why', 'acme/ann')).out).toMatch(/^acme\/ann gets long-poll .*kill switch/);
    expect(await rollout('unkill', ...because)).toMatchObject({ exit: 0 });
    expect(await readRollout()).toMatchObject({ killed: false });
  });

  it('says why a user gets what they get, and where they are', async () => {
    await start();
    const stream = await openStream(gateway.url, await makeToken(), ['chat']);
    const told = await rollout('why', 'acme/ann');
    expect(told.out).toMatch(
      /^acme\/ann gets websocket \(canary, rules v\d+\) because their bucket \d+ of 10,000 is inside/,
    );
    expect(told.out).toMatch(/^Connected by websocket since .*, 0 events behind\.$/m);
    await stream.close();
    const parsed = decisionBodySchema.parse(JSON.parse((await rollout('why', 'acme/ann', ...json)).out));
    expect(parsed).toMatchObject({ org: 'acme', user: 'ann', transport: 'websocket', reason: 'rollout' });
    expect(await rollout('why', 'ann')).toMatchObject({ exit: 1 });
  });

  it('tells a version conflict, and who was first', async () => {
    await start();
    const { version } = await readRollout();
    const ifVersion = ['--if-version', String(version)];
    expect(await rollout('set', '10', '--reason', 'I was first', ...ifVersion)).toMatchObject({ exit: 0 });
    const late = await rollout('set', '20', ...because, ...ifVersion);
    expect(late.exit).toBe(4);
    expect(late.err).toContain(`admin-token was first with v${version + 1} (percent, "I was first")`);
    expect(await readRollout()).toMatchObject({ percent: 10 });
  });

  it.each(['REALTIME_STREAMING_V2', 'REALTIME_ROLLOUT_PERCENT'])(
    'ends with 5 while every node is capped by %s',
    async (name) => {
      await start({ REALTIME_STREAMING_V2: undefined, REALTIME_ROLLOUT_PERCENT: undefined, [name]: '0' });
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

  it('refuses without a reason, a percentage or a gateway', async () => {
    await start();
    expect(await rollout('set', '10')).toMatchObject({ exit: 1, err: expect.stringContaining('--reason') });
    expect(await rollout('set', '10', '--reason', ' ')).toMatchObject({ exit: 1 });
    expect(await rollout('set', '100.001', ...because)).toMatchObject({ exit: 1 });
    expect(await rollout('set', '101', ...because)).toMatchObject({ exit: 1 });
    expect(await turnout(['rollout', 'get', '--url', 'http://127.0.0.1:1'])).toMatchObject({ exit: 3 });
    expect((await readRollout()).percent).toBe(100);
  });

  it('shows the code of a refusal, and never the token', async () => {
    await start();
    const token = await makeToken();
    const refused = await turnout(['rollout', 'get'], { TURNOUT_URL: gateway.url, TURNOUT_TOKEN: token });
    expect(refused).toMatchObject({ exit: 2, out: '', err: expect.stringContaining('(role_required)') });
    const forged = await turnout(['rollout', 'get', '--token', `${token}x`, '--url', gateway.url, ...json]);
    expect(forged.exit).toBe(2);
    expect(JSON.parse(forged.err)).toMatchObject({ error: { exit: 2, code: 'unauthorized' } });
    expect(forged.err).not.toContain(token);
  });

  it('goes on showing it until Ctrl-C', async () => {
    await start();
    const watch = new TurnoutCommand(['rollout', 'get', '-w', ...json], asAdmin(gateway.url));
    await watch.untilOut((lines) => lines.length === 1, 'the first look');
    await rollout('set', '7', ...because);
    await watch.untilOut((lines) => lines.length >= 2, 'the change');
    expect(await watch.interrupt()).toMatchObject({ exit: 0 });
    const percents = watch.out.map((line) => rolloutBodySchema.parse(JSON.parse(line)).percent);
    expect([percents[0], percents.at(-1)]).toEqual([100, 7]);
  });
});

describe('turnout kill --local', () => {
  const local = (...args: readonly string[]) =>
    turnout(['kill', '--local', ...args], { TURNOUT_KILL_FILE: killFile, TURNOUT_RUN_DIR: folder });

  it('kills without a token or a URL, stands until removed, and names itself', async () => {
    await start();
    const killed = await local('--reason', 'Redis is gone');
    expect(killed, killed.err).toMatchObject({ exit: 0 });
    expect(killed.out).toContain('it stands until it is removed');
    await until(async () => (await readRollout()).killed, 'the node to obey');
    expect((await rollout('get')).out).toContain(`on the node that answered, by its kill file ${killFile}`);
    expect((await local('--reason', 'again')).out).toContain('Redis is gone');

    const unkill = await rollout('unkill', ...because);
    expect(unkill).toMatchObject({ exit: 4, err: expect.stringContaining(killFile) });
    expect(unkill.err).toContain('turnout kill --local --undo');

    expect(await local('--undo')).toMatchObject({ exit: 0 });
    await until(async () => !(await readRollout()).killed, 'the node to serve again');
    expect(await local('--undo')).toMatchObject({ exit: 0, out: expect.stringContaining('nothing') });
  });

  it('says what to do where it can reach no node', async () => {
    await start();
    expect(await turnout(['kill', '--local'], { TURNOUT_RUN_DIR: folder })).toMatchObject({
      exit: 3,
      err: expect.stringContaining('TURNOUT_KILL_FILE'),
    });
    expect(await turnout(['kill'])).toMatchObject({
      exit: 1,
      err: expect.stringContaining('turnout rollout kill'),
    });
  });
});
