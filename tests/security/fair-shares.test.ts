/**
 * One user and one address can't take what others need: held polls, streams, questions to the auth server, slots of an
 * upstream, and the time of the event loop. On a whole node; the test is the proxy that tells where a request comes from.
 */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { call } from '../support/http-client.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { openLongPolls } from '../support/long-polls.ts';
import { openRaw, upgradeText } from '../support/raw-socket.ts';
import { makeToken, testSecret } from '../support/tokens.ts';
import { until, within } from '../support/until.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

const attacker = '203.0.113.9';
const honest = '198.51.100.7';
const held = new Set<ServerResponse>();
const upstream = createServer((request, response) => {
  if (request.url !== '/api/held') return void response.end('answered');
  held.add(response);
  response.on('close', () => held.delete(response));
});
let whoami: WhoamiServer;
let gateway: Gateway;
let folder: string;

beforeAll(async () => {
  whoami = await WhoamiServer.start();
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  folder = await mkdtemp(join(tmpdir(), 'turnout-shares-'));
  const profile = plainProfile(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  await writeFile(join(folder, 'plain.json'), JSON.stringify(profile));
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_AUTH_URL: whoami.url,
    TURNOUT_TRUSTED_PROXIES: '127.0.0.1',
    TURNOUT_PROFILES: folder,
    TURNOUT_LEGACY_CONNECTIONS: '8',
    TURNOUT_MAX_HELD_POLLS: '20',
    TURNOUT_MAX_HELD_POLLS_PER_USER: '4',
    TURNOUT_MAX_CONNECTIONS_PER_ADDRESS: '5',
    TURNOUT_MAX_CONNECTIONS_PER_USER: '3',
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
    TURNOUT_DRAIN_MS: '0',
  });
  gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent') });
});
afterAll(async () => {
  await gateway.drain();
  upstream.closeAllConnections();
  upstream.close();
  await whoami.close();
  await rm(folder, { recursive: true });
});

const from = (address: string) => ({ 'x-forwarded-for': address });
const metric = async (name: string): Promise<number> => {
  const { text } = await call(`${gateway.url}/metrics`);
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? 0);
};

describe('held polls', () => {
  /** Holds polls from the head on, until the test is over. */
  async function pollers() {
    const over: AbortController[] = [];
    onTestFinished(async () => {
      for (const controller of over) controller.abort();
      await until(() => metric('turnout_polls_held'), 'no poll', 0);
    });
    const path = `${gateway.url}/v1/realtime/poll?services=a`;
    const { body } = await call<{ cursor: string }>(path, { token: await makeToken() });
    return async (sub: string, address: string) => {
      const token = await makeToken({ sub });
      const controller = new AbortController();
      over.push(controller);
      const asked = { token, headers: from(address), signal: controller.signal };
      return call(`${path}&cursor=${body.cursor}`, asked).then(
        ({ status }) => status,
        () => 0,
      );
    };
  }

  it('are not all for one user', async () => {
    const poll = await pollers();
    const mine = Array.from({ length: 12 }, () => poll('greedy', '127.0.0.1'));
    const statuses: number[] = [];
    for (const one of mine) void one.then((status) => statuses.push(status));
    await until(() => statuses.length, 'those past the limit', 8);
    expect(new Set(statuses)).toEqual(new Set([429]));
    void poll('ann', '127.0.0.1');
    await until(() => metric('turnout_polls_held'), 'a poll of another user', 5);
  });

  it('are not all for one address, whatever users it has tokens of', async () => {
    const poll = await pollers();
    const statuses: number[] = [];
    for (let index = 0; index < 24; index += 1)
      void poll(`u${index}`, attacker).then((status) => statuses.push(status));
    await until(() => statuses.length, 'the refusals', 14);
    expect(new Set(statuses)).toEqual(new Set([503]));
    for (let index = 0; index < 4; index += 1) void poll(`v${index}`, honest);
    await until(
      () => metric('turnout_polls_held'),
      'polls of another address',
      (n) => n >= 12,
    );
  });
});

describe('streams', () => {
  const open = async (sub: string, address: string) => {
    const token = await makeToken({ sub });
    const path = `/v2/realtime/stream?access_token=${token}`;
    const raw = await openRaw(gateway.url, upgradeText(path, { 'X-Forwarded-For': address }));
    onTestFinished(() => void raw.socket.destroy());
    await until(() => raw.said(), 'an answer');
    return { status: raw.said().slice(9, 12), raw };
  };
  const open4 = (sub: string, address: string) =>
    Promise.all(Array.from({ length: 4 }, () => open(sub, address)));

  it('are not all for one user: the oldest makes room, and others have theirs', async () => {
    const mine = await open4('greedy', '127.0.0.1');
    await until(() => mine.some(({ raw }) => raw.said().includes('too_many_connections')), 'an end');
    expect((await open('ann', '127.0.0.1')).status).toBe('101');
  });

  it('are not all for one address, nor for the network that an IPv6 caller has', async () => {
    const opened = [];
    for (let index = 0; index < 8; index += 1) opened.push(await open(`u${index}`, `2001:db8::${index + 1}`));
    expect(opened.map(({ status }) => status)).toEqual([
      ...Array.from({ length: 5 }, () => '101'),
      ...Array.from({ length: 3 }, () => '429'),
    ]);
    expect((await open('ann', '2001:db8:0:1::1')).status).toBe('101');
  });
});

describe('questions to the auth server', () => {
  const poll = (credential: string, address: string) =>
    call(`${gateway.url}/v1/realtime/poll?services=a&wait=0`, { token: credential, headers: from(address) });
  const upgrade = async (credential: string, address: string) => {
    const path = `/v2/realtime/stream?access_token=${credential}`;
    const raw = await openRaw(gateway.url, upgradeText(path, { 'X-Forwarded-For': address }));
    onTestFinished(() => void raw.socket.destroy());
  };
  const placeOf = (credential: string): number =>
    whoami.asked.findIndex((asked) => asked.credential === `Bearer ${credential}`);

  it.each([
    ['request', '127.0.0.1', poll],
    ['request', attacker, poll],
    ['stream', '127.0.0.1', upgrade],
  ])('are asked in turns: a newcomer’s %s waits for no flood from %s', async (kind, address, ask) => {
    const newcomer = `ann-${kind}-${address}`;
    whoami.people.set(`Bearer ${newcomer}`, { user: 'ann', org: 'acme' });
    // Nobody is answered before they all wait.
    let goOn = (): void => undefined;
    const mayAnswer = new Promise<void>((resolve) => (goOn = resolve));
    whoami.instead = (response) => void mayAnswer.then(() => response.writeHead(401).end());
    const first = whoami.asked.length;
    const flood = Array.from({ length: 250 }, (_, index) => poll(`made-up-${newcomer}-${index}`, address));
    await until(() => whoami.asked.length, 'all slots taken', first + 32);
    const asked = ask(newcomer, honest);
    // Time to arrive: its place would be far behind the flood's else.
    for (let turn = 0; turn < 3; turn += 1) await metric('turnout_polls_held');
    whoami.instead = undefined;
    whoami.delayMs = 20;
    goOn();
    await until(
      () => placeOf(newcomer),
      'the question',
      (place) => place >= 0,
    );
    expect(placeOf(newcomer)).toBeLessThan(first + 3 * 32);
    await asked;
    await Promise.all(flood);
    whoami.delayMs = 0;
  });
});

describe('slots of an upstream', () => {
  it('are not all for one address', async () => {
    const ask = (path: string, address: string) => call(`${gateway.url}${path}`, { headers: from(address) });
    const flood = Array.from({ length: 12 }, () => ask('/api/held', attacker));
    await until(() => held.size, 'its share', 4);
    expect((await within(ask('/api/x', honest), 'an answer')).text).toBe('answered');
    expect(held.size).toBe(4);
    const done = Promise.all(flood);
    let isDone = false;
    void done.then(() => (isDone = true));
    await until(() => {
      for (const response of held) response.end();
      return isDone;
    }, 'their end');
  });
});

describe('groups of readers', () => {
  it('cost no answer each, where one user asks with 200 sets of services and limits', async () => {
    const node = await openLongPolls();
    onTestFinished(() => node.close());
    const asked = Array.from({ length: 200 }, (_, index) => {
      const services = ['a', ...Array.from({ length: 8 }, (_each, bit) => `s${(index >> bit) & 1}-${bit}`)];
      return node.ask({ services, limit: index + 1 });
    });
    await until(() => node.traffic.pollsHeld, 'all held', 200);
    await node.publish('a', 'one');
    const answers = await within(Promise.all(asked), 'the answers');
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
  });
});
