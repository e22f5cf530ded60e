/** The kill switch and the admin API of two real gateways over one Redis, each with a link to it that can be cut. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RolloutBody, SessionsBody } from '../../schema/admin.ts';
import type { NegotiateResponse } from '../../schema/http.ts';
import { killLocalNodes } from '../../src/rollout/kill/local.ts';
import { type Answer, call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { admin } from '../support/publisher.ts';
import { RedisServer } from '../support/redis.ts';
import { openStream, StreamClient } from '../support/stream-client.ts';
import { TcpLink } from '../support/tcp-link.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const services = ['chat'];

interface Node {
  readonly gateway: Gateway;
  readonly link: TcpLink;
  /** Where `kill --local` finds it, and it alone. */
  readonly runFolder: string;
}

let redis: RedisServer;
let fleets = 0;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

/** Each test has its own two nodes, under a prefix of their own: they run side by side. */
const it = test.extend('nodes', async ({ onTestFinished }): Promise<readonly [a: Node, b: Node]> => {
  const prefix = `fleet-${(fleets += 1)}`;
  const nodes = await Promise.all([start('node-a', prefix), start('node-b', prefix)]);
  onTestFinished(async () => {
    await Promise.all(nodes.map(stop));
  });
  for (const node of nodes) {
    await until(() => readyOf(node), 'a node to have its log and its rules', 'ok');
    await until(
      async () => Object.keys((await rollout(node)).acks).length,
      'the nodes to know of each other',
      2,
    );
  }
  return nodes;
});

async function start(nodeId: string, prefix: string): Promise<Node> {
  const link = await TcpLink.open(redis.port);
  const runFolder = mkdtempSync(join(tmpdir(), 'turnout-run-'));
  const gateway = await startGateway({
    TURNOUT_NODE_ID: nodeId,
    TURNOUT_REDIS_URL: link.url,
    TURNOUT_REDIS_PREFIX: prefix,
    TURNOUT_RUN_DIR: runFolder,
    TURNOUT_KILL_WINDOW_MS: '200',
  });
  return { gateway, link, runFolder };
}

async function stop({ gateway, link, runFolder }: Node): Promise<void> {
  await gateway.kill();
  link.close();
  rmSync(runFolder, { recursive: true });
}

const negotiate = async (node: Node, body: object = {}): Promise<NegotiateResponse> => {
  const answer = await call<NegotiateResponse>(`${node.gateway.url}/v2/realtime/negotiate`, {
    method: 'POST',
    token: await makeToken({ sub: 'ann' }),
    body,
  });
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
};

const rollout = async (node: Node): Promise<RolloutBody> =>
  (await admin<RolloutBody>(node.gateway.url, 'GET', '/rollout')).body;
const change = async (node: Node, method: string, path: string, body: object = {}): Promise<Answer> =>
  admin(node.gateway.url, method, path, { reason: 'test', ...body });
const readyOf = async (node: Node): Promise<string> =>
  (await call<{ status: string }>(`${node.gateway.url}/readyz`)).body.status;
const reasonOf = async (node: Node): Promise<string> => (await negotiate(node)).reason;
const cut = (nodes: readonly Node[]): void => nodes.forEach(({ link }) => link.cut());
const mend = (nodes: readonly Node[]): void => nodes.forEach(({ link }) => link.mend());

describe.concurrent('with Redis cut off', () => {
  it('a kill told to one node is answered 200, not written, and its streams go; the other learns when it is back', async ({
    nodes: [a, b],
  }) => {
    const [onA, onB] = await Promise.all(
      [a, b].map(async ({ gateway }, at) =>
        openStream(gateway.url, await makeToken({ sub: `user-${at}` }), services),
      ),
    );
    cut([a, b]);
    expect(await change(a, 'POST', '/rollout/kill')).toMatchObject({
      status: 200,
      body: { written: false, laggards: ['node-b'] },
    });
    expect(await onA?.nextClose()).toEqual({ code: 4410, reason: 'moved' });
    expect(await reasonOf(a)).toBe('kill-switch');
    expect(await reasonOf(b)).toBe('rollout');
    expect(onB?.closed).toBeUndefined();
    const ready = await call(`${a.gateway.url}/readyz`);
    expect(ready).toMatchObject({ status: 200, body: { status: 'degraded', rules: { up: false } } });
    expect((await change(a, 'POST', '/rollout/unkill')).status).toBe(503);
    mend([a, b]);
    expect(await onB?.nextClose()).toEqual({ code: 4410, reason: 'moved' });
    expect((await rollout(b)).killedBy.rules).toHaveLength(1);
    expect((await change(b, 'POST', '/rollout/unkill')).body).toMatchObject({ written: true, laggards: [] });
    expect([await reasonOf(a), await reasonOf(b)]).toEqual(['rollout', 'rollout']);
  });

  it('a node obeys when it is told locally, without network or token', async ({ nodes: [a, b] }) => {
    cut([a, b]);
    const told = await killLocalNodes({ folder: b.runFolder, reason: 'smoke' });
    expect(told).toMatchObject([{ isKilled: true, node: 'node-b', written: false }]);
    expect([await reasonOf(a), await reasonOf(b)]).toEqual(['rollout', 'kill-switch']);
    mend([a, b]);
    await until(() => reasonOf(a), 'node-a to hear of it', 'kill-switch');
  });
});

it.concurrent('a local kill is everybody’s while Redis is there', async ({ nodes: [a, b] }) => {
  expect(await killLocalNodes({ folder: a.runFolder, reason: 'smoke' })).toMatchObject([{ written: true }]);
  expect([await reasonOf(a), await reasonOf(b)]).toEqual(['kill-switch', 'kill-switch']);
  expect((await rollout(b)).killedBy.rules).toMatchObject([
    { by: 'local', who: 'local:node-a', reason: 'smoke' },
  ]);
});

/**
 * A client as docs/PROTOCOL.md has it, at its unluckiest: every negotiation and poll lands on the node that can't know, every
 * stream on the killed one. It holds the assignment that a kill refused for followed: only a newer one takes it up again.
 */
class UnluckyClient {
  readonly requests = { negotiate: 0, stream: 0, poll: 0 };
  readonly refusals: string[] = [];
  transport: 'websocket' | 'long-poll' = 'long-poll';
  private assignment = 0;
  private cursor: string | undefined;
  private readonly token: string;
  private readonly killed: Node;
  private readonly unknowing: Node;

  constructor(token: string, killed: Node, unknowing: Node) {
    this.token = token;
    this.killed = killed;
    this.unknowing = unknowing;
  }

  /** Negotiates until it has a transport to stay on. */
  async settle(): Promise<void> {
    for (;;) {
      this.requests.negotiate += 1;
      const answer = await negotiate(this.unknowing, {
        session: 's',
        assignment: this.assignment,
        cursor: this.cursor,
      });
      this.cursor = answer.cursor ?? this.cursor;
      if (answer.transport === 'long-poll' || answer.assignment <= this.assignment) {
        this.transport = 'long-poll';
        return;
      }
      this.assignment = answer.assignment;
      this.requests.stream += 1;
      const stream = new StreamClient(this.killed.gateway.url, {
        path: answer.urls.websocket,
        first: { services, version: 1 },
      });
      await until(() => stream.closed !== undefined || stream.ofType('ack').length > 0, 'the stream');
      if (stream.closed === undefined) {
        this.transport = 'websocket';
        await stream.close();
        return;
      }
      this.refusals.push(`${stream.closed.code} ${stream.closed.reason}`);
    }
  }

  /** One poll; true when it says that the client may move up by an assignment that it has not followed. */
  async poll(waitS: number): Promise<boolean> {
    this.requests.poll += 1;
    const { body } = await poll(this.unknowing.gateway.url, this.token, {
      services: services.join(),
      cursor: this.cursor,
      session: 's',
      assignment: this.assignment,
      wait: waitS,
    });
    this.cursor = body.cursor;
    return body.transport === 'websocket' && body.assignment > this.assignment;
  }
}

it.concurrent('a client bounces no more than once between a killed node and one that cannot know', async ({
  nodes: [a, b],
}) => {
  a.link.cut();
  expect((await change(a, 'POST', '/rollout/kill')).body).toMatchObject({ written: false });
  const client = new UnluckyClient(await makeToken({ sub: 'ann' }), a, b);
  await client.settle();
  expect(client.transport).toBe('long-poll');
  const begin = performance.now();
  for (let turn = 0; turn < 3; turn += 1) if (await client.poll(1)) await client.settle();
  // Held, not answered early: a node that goes on saying `websocket` must not make a poll a busy loop.
  expect(performance.now() - begin).toBeGreaterThan(2500);
  expect(client.requests).toEqual({ negotiate: 2, stream: 1, poll: 3 });
  expect(client.refusals).toEqual(['4410 kill_switch']);

  a.link.mend();
  await until(() => reasonOf(b), 'node-b to hear of the kill', 'kill-switch');
  await change(b, 'POST', '/rollout/unkill');
  // Its rules may be back before its log is: a new stream would be closed with 1013, which is no bounce.
  await until(() => readyOf(a), 'node-a to have its log back', 'ok');
  if (await client.poll(10)) await client.settle();
  expect(client.transport).toBe('websocket');
  expect(client.requests).toEqual({ negotiate: 3, stream: 2, poll: 4 });
  expect(client.refusals).toEqual(['4410 kill_switch']);
});

describe.concurrent('across nodes', () => {
  const sessionsOf = async (node: Node): Promise<SessionsBody> =>
    (await admin<SessionsBody>(node.gateway.url, 'GET', '/sessions?org=acme')).body;

  it('sessions and cohorts are summed, a dead node is missing at first and then forgotten', async ({
    nodes: [a, b],
  }) => {
    await Promise.all(
      [a, b, b].map(async ({ gateway }, at) =>
        openStream(gateway.url, await makeToken({ sub: `user-${at}` }), services),
      ),
    );
    for (const node of [a, b]) {
      const { sessions, missing } = await sessionsOf(node);
      expect(sessions.map((one) => `${one.node} ${one.user}`).toSorted()).toEqual([
        'node-a user-0',
        'node-b user-1',
        'node-b user-2',
      ]);
      expect(missing).toEqual([]);
      expect(await rollout(node)).toMatchObject({
        cohorts: { canary: { assigned: 3, connected: { websocket: 3, 'long-poll': 0 } } },
        missing: [],
      });
    }
    await b.gateway.kill();
    expect(await sessionsOf(a)).toMatchObject({ sessions: [{ node: 'node-a' }], missing: ['node-b'] });
    await until(async () => (await sessionsOf(a)).missing.length, 'node-b to be forgotten', 0);
    expect((await rollout(a)).cohorts.canary.assigned).toBe(1);
  });

  it('a change is answered with both nodes’ acknowledgements, and the trail is one', async ({
    nodes: [a, b],
  }) => {
    const answer = await change(b, 'PUT', '/rollout/percent', { percent: 37 });
    const { version } = answer.body as { version: number };
    expect(answer.body).toEqual({
      version,
      written: true,
      acks: { 'node-a': version, 'node-b': version },
      laggards: [],
    });
    expect(await rollout(a)).toMatchObject({ version, percent: 37 });
    const trails = await Promise.all([a, b].map(({ gateway }) => admin(gateway.url, 'GET', '/audit')));
    expect(trails[0]?.body).toEqual(trails[1]?.body);
  });

  it('one node is drained by asking another', async ({ nodes: [a, b] }) => {
    expect((await change(a, 'POST', '/nodes/nobody/drain')).status).toBe(404);
    expect(await change(a, 'POST', '/nodes/node-b/drain')).toMatchObject({
      status: 200,
      body: { node: 'node-b', draining: true },
    });
    expect(await b.gateway.exited).toBe(0);
    expect((await call(`${a.gateway.url}/readyz`)).status).toBe(200);
    await until(async () => Object.keys((await rollout(a)).acks).length, 'its name to be taken back', 1);
  });
});
