/**
 * Two nodes on one Redis move people as one: each user at a moment of their own that both know, and everybody off a node
 * that drains, while events flow.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ChangeAnswer, DecisionBody, RolloutBody } from '../../schema/admin.ts';
import { momentOf } from '../../src/rollout/moves/due-times.ts';
import { Heart, numberOf } from '../support/heart.ts';
import { call } from '../support/http-client.ts';
import { type Gateway, startReadyGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { admin, metric } from '../support/publisher.ts';
import { testRandom } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { openStream, type StreamClient } from '../support/stream-client.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { byTier, isFullRun } from '../support/tier.ts';
import { makeToken } from '../support/token-maker.ts';
import { asAdmin, turnout } from '../support/turnout-command.ts';
import { until, within } from '../support/until.ts';

const drainMs = 4000;
const withinMs = 200;
const users = 60;
const sdkClients = 24;
const legacyClients = 8;
const heldPolls = 40;

let redis: RedisServer;
let random: ReturnType<typeof testRandom>;
const gateways = new Map<string, Gateway>();

async function start(node: string): Promise<Gateway> {
  const gateway = await startReadyGateway({
    TURNOUT_REDIS_URL: redis.url,
    TURNOUT_NODE_ID: node,
    TURNOUT_DRAIN_MS: String(drainMs),
    TURNOUT_MOVE_RATE: '40',
    TURNOUT_MOVE_WITHIN_MS: String(withinMs),
    WS_AUTORECONNECT: 'true',
  });
  gateways.set(node, gateway);
  return gateway;
}

beforeAll(async () => {
  random = testRandom('moves');
  redis = await RedisServer.start();
  await Promise.all(['node-a', 'node-b'].map(start));
}, 240_000);
afterAll(async () => {
  await Promise.all([...gateways.values()].map((gateway) => gateway.kill()));
  await redis.stop();
});

const running = (node: string): Gateway => {
  const gateway = gateways.get(node);
  if (gateway === undefined) throw new Error(`${node} was never started`);
  return gateway;
};

/** How many of the moments fall into each tenth of the span. */
function tenthsOf(moments: readonly number[], startMs: number, spanMs: number): number[] {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (const moment of moments) {
    const place = Math.min(9, Math.max(0, Math.floor(((moment - startMs) / spanMs) * 10)));
    tenths[place] = (tenths[place] ?? 0) + 1;
  }
  return tenths;
}

describe('a change of the percentage', () => {
  const opened: StreamClient[] = [];
  afterEach(async () => {
    for (const stream of opened.splice(0)) await stream.close();
  });

  interface Told {
    readonly user: string;
    readonly stream: StreamClient;
    /** When it was told to migrate. */
    atMs: number;
  }

  async function toldOn(url: string, user: string): Promise<Told> {
    const stream = await openStream(url, await makeToken({ sub: user }), ['ops']);
    const told: Told = { user, stream, atMs: Number.NaN };
    stream.onFrame = ({ type }) => {
      if (type === 'migrate') told.atMs = performance.now();
    };
    opened.push(stream);
    return told;
  }

  async function isMovedBy(url: string, user: string): Promise<boolean> {
    const { body } = await admin<DecisionBody>(url, 'GET', `/decisions/acme/${user}`);
    return body.transport === 'long-poll';
  }

  it('moves each user at one moment on both nodes, over the window, and later writes for others put off none', async () => {
    const urls = [running('node-a').url, running('node-b').url];
    const [urlA = '', urlB = ''] = urls;
    const names = Array.from({ length: users }, (_, at) => `user-${at}`);
    const all = await Promise.all(names.flatMap((user) => urls.map((url) => toldOn(url, user))));
    const setPercent = (url: string, percent: number) =>
      admin<ChangeAnswer>(url, 'PUT', '/rollout/percent', { percent, reason: 'test' });
    const { body: change } = await setPercent(urlA, 20);
    const { body: rollout } = await admin<RolloutBody>(urlA, 'GET', '/rollout');
    const { version } = change;
    expect(rollout.version).toBe(version);
    // Not by when it was answered, which may be a second later: that long a node is waited for.
    const doneByMs = Date.parse(change.movesInProgress?.[0]?.doneBy ?? '');
    const windowMs = doneByMs - withinMs - Date.parse(rollout.changedAt);
    const areMoved = await Promise.all(names.map((user) => isMovedBy(urlA, user)));
    const moved = all.filter(({ user }) => areMoved[names.indexOf(user)]);
    const toldCount = (): number => moved.filter(({ atMs }) => atMs > 0).length;
    await until(
      () => toldCount(),
      'a quarter of the moves',
      (seen) => seen > moved.length / 4,
    );
    const before = toldCount();
    const writes = [
      await admin(urlB, 'PUT', '/rollout/flags/ws-autoreconnect', { percent: 50, reason: 'test' }),
      await setPercent(urlB, 1),
    ];
    expect(writes.map(({ status }) => status)).toEqual([200, 200]);
    expect(before).toBeLessThan(moved.length);
    await until(
      () => toldCount(),
      () => `${moved.length} moves; ${toldCount()} came`,
      (seen) => seen === moved.length,
    );

    const toldMs = moved.map(({ atMs }) => atMs);
    const tenths = tenthsOf(toldMs, Math.min(...toldMs), windowMs);
    // By the change that moved them, wherever they are connected: docs/PROTOCOL.md, 9.
    const offMs = moved
      .map(({ user, atMs }) => atMs - momentOf({ org: 'acme', sub: user }, String(version), 0, windowMs))
      .toSorted((one, other) => one - other);
    // The change was made some time before we had its answer: that much is the same for all.
    const beganMs = offMs[Math.floor(offMs.length / 2)] ?? 0;
    const worstMs = Math.max(...offMs.map((ms) => Math.abs(ms - beganMs)));
    console.log(
      `${moved.length} streams over ${windowMs} ms, by tenths ${tenths.join(' ')}; ` +
        `at worst ${worstMs.toFixed(0)} ms from their moment`,
    );
    const strays = offMs.filter((ms) => Math.abs(ms - beganMs) > windowMs / 8);
    // With moments of another kind three quarters would be.
    expect(strays.length).toBeLessThan(moved.length / 4);
    expect(Math.max(...tenths)).toBeLessThan(moved.length * 0.4);
    for (const { stream } of moved) expect((await stream.nextClose()).code).toBe(4410);
  });
});

describe('a node that drains', () => {
  interface Held {
    readonly atMs: number;
    readonly connection: string | undefined;
  }

  /** Polls that nothing but the drain will answer, once they are held. */
  async function holdPolls(url: string): Promise<Promise<Held>[]> {
    const token = await makeToken({ sub: 'poller' });
    // From now on: one that has much to look through is answered before it is held.
    const { cursor } = (await poll(url, token, { services: 'ops' })).body;
    const held = Array.from({ length: heldPolls }, async () => {
      const answer = await poll(url, token, { services: 'ops', cursor, wait: 60 });
      expect(answer.status).toBe(200);
      return { atMs: performance.now(), connection: answer.headers.connection };
    });
    const areHeld = async (): Promise<boolean> =>
      (await metric(url, 'turnout_connections', 'long-poll')) >= heldPolls;
    await until(areHeld, 'the polls to be held');
    return held;
  }

  /** Sends everybody from one node to the other while events flow, and waits for the end of the one. */
  async function drain(
    heart: Heart,
    proxy: TcpProxy,
    [from, to]: readonly [Gateway, Gateway],
    order: () => Promise<unknown>,
  ): Promise<void> {
    const services = ['finance', 'chat'];
    const backend = heart.backends.find(({ org }) => org === 'acme');
    const begun = backend?.expected(services).length ?? 0;
    const token = await makeToken({ sub: 'deaf' });
    const deaf = await openStream(from.url, token, services);
    const held = await holdPolls(from.url);
    let isOver = false;
    const publishing = heart.publishUntil(() => isOver);
    await deaf.nextEvents(20);

    const logged = from.logs.length;
    const ordered = order();
    // As a balancer does: new connections go to the node that is ready.
    await until(async () => (await call(`${from.url}/readyz`)).status, '/readyz to fail', 503);
    proxy.target = to.url;
    await ordered;
    const answers = await within(Promise.all(held), 'the held polls');
    const answeredMs = answers.map(({ atMs }) => atMs);
    const tenths = tenthsOf(answeredMs, Math.min(...answeredMs), drainMs);
    const left = await deaf.nextClose();
    const elsewhere = await metric(to.url, 'turnout_streams_open');
    const gone = `${elsewhere} of ${sdkClients} streams elsewhere when the time was up`;
    console.log(`${gone}; held polls answered by tenths of the drain: ${tenths.join(' ')}`);
    expect(left).toEqual({ code: 1012, reason: 'draining' });
    expect(deaf.ofType('reconnect')).toMatchObject([{ reason: 'draining' }]);
    expect(elsewhere).toBe(sdkClients);
    expect(new Set(answers.map(({ connection }) => connection))).toEqual(new Set(['close']));
    expect(Math.max(...tenths)).toBeLessThan(heldPolls / 2);
    expect(await within(from.exited, 'its end')).toBe(0);
    const ends = from.logs
      .slice(logged)
      .filter(({ msg }) => msg === 'stream closed')
      .map(({ code }) => code);
    expect(ends.length).toBeGreaterThan(sdkClients);
    expect(ends).not.toContain(1006);

    const back = await openStream(to.url, token, services, { cursor: deaf.cursor });
    await back.nextEvents(20);
    isOver = true;
    await publishing;
    const due = backend?.expected(services).slice(begun) ?? [];
    const received = (): number[] => [...deaf.events(), ...back.events()].map(({ id }) => numberOf(id));
    await until(
      () => received().length,
      'the rest for who did not listen',
      (seen) => seen >= due.length,
    );
    expect(received()).toEqual(due);
    await back.close();
  }

  it('loses no event, cuts nobody and has sent all elsewhere before its time is up', async () => {
    const [nodeA, nodeB] = [running('node-a'), running('node-b')];
    await admin(nodeB.url, 'PUT', '/rollout/percent', { percent: 100, reason: 'test' });
    await admin(nodeB.url, 'PUT', '/rollout/flags/ws-autoreconnect', { percent: 100, reason: 'test' });
    const proxy = await startProxy(nodeA.url);
    const heart = new Heart(proxy.url, random);
    try {
      await heart.join(sdkClients, legacyClients);
      await drain(heart, proxy, [nodeA, nodeB], async () => {
        const { exit, err } = await turnout(['drain', 'node-a', '--reason', 'test'], asAdmin(nodeB.url));
        expect([exit, err]).toEqual([0, '']);
      });
      if (isFullRun) {
        const nodeC = await start('node-c');
        await drain(heart, proxy, [nodeB, nodeC], async () => nodeB.signal('SIGTERM'));
      }
      expect(await heart.incomplete()).toEqual([]);
      const closes = heart.members.flatMap(({ client }) => Object.keys(client?.stats.closes ?? {}));
      console.log(`drain: ${JSON.stringify({ ...heart.counts(), closes: [...new Set(closes)] })}`);
      expect(heart.members.flatMap(({ resets, problems }) => [...resets, ...problems])).toEqual([]);
      expect(closes).not.toContain('1006');
      expect(heart.counts().movesSame).toBeGreaterThanOrEqual(byTier(1, 2) * sdkClients);
    } finally {
      await heart.stop();
      await proxy.close();
    }
  }, 60_000);
});
