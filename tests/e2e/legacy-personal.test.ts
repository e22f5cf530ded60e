/** Old clients whose org has events for some of its users only, or from elsewhere than the source: each is told all of theirs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { call } from '../support/http-client.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric, Publisher } from '../support/publisher.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const profile = {
  name: 'personal',
  match: { path: '/api/updates' },
  // Nobody is there: what isn't served is 502.
  upstream: 'http://127.0.0.1:1',
  auth: { from: 'bearer', jwt: { user: '$.sub', org: '$.org' } },
  request: {
    cursor: { in: 'query', name: 'since', format: 'integer' },
    wait: { in: 'query', name: 'timeout', default: 0, max: 30 },
    services: { fixed: ['updates'] },
  },
  response: {
    idle: { status: 204 },
    events: { status: 200, body: { updates: '$events', next: '$cursor' } },
    event: { id: '$.id:number' },
  },
};

let folder = '';
let gateway: Gateway;
let publisher: Publisher;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-personal-'));
  await writeFile(join(folder, 'personal.json'), JSON.stringify(profile));
  gateway = await startGateway({ TURNOUT_PROFILES: folder });
  publisher = new Publisher(gateway.url);
  await admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'test' });
});
afterAll(async () => {
  await gateway.kill();
  await rm(folder, { recursive: true });
});

const publish = (id: number | string, ...to: string[]): Promise<unknown> =>
  publisher.publish({ service: 'updates', id: String(id), ...(to.length > 0 && { to }) });

async function poll(user: string, since: number, timeout = 0) {
  const answer = await call<{ updates: { id: number }[]; next: number } | undefined>(
    `${gateway.url}/api/updates?since=${since}&timeout=${timeout}`,
    { token: await makeToken({ sub: user }) },
  );
  return { status: answer.status, ids: answer.body?.updates.map(({ id }) => id), next: answer.body?.next };
}

it('gives a user what stood behind the cursor that another user was given past it', async () => {
  await publish(1);
  await publish(2);
  await publish(3, 'bob');
  await publish(4, 'bob');
  expect(await poll('ann', 1)).toEqual({ status: 200, ids: [2], next: 2 });
  expect(await poll('bob', 2)).toEqual({ status: 200, ids: [3, 4], next: 4 });
  expect((await poll('ann', 2)).status).toBe(204);
});

it('holds a poll past an event that the old API has no word for', async () => {
  await publish(10);
  await publish('no-number');
  const asked = poll('ann', 10, 30);
  await until(() => metric(gateway.url, 'turnout_polls_held'), 'a held poll', 1);
  await publish(11);
  expect(await asked).toEqual({ status: 200, ids: [11], next: 11 });
});

it('leaves a page of another origin to the old backend, whose answer its browser lets it read', async () => {
  await publish(20);
  await publish(21);
  const asked = (headers: Record<string, string>) =>
    fetch(`${gateway.url}/api/updates?since=20`, {
      headers: { authorization: `Bearer ${token}`, ...headers },
    });
  const token = await makeToken();
  expect((await asked({ origin: gateway.url })).status).toBe(200);
  for (const origin of ['https://app.example', 'null'])
    expect((await asked({ origin })).status, origin).toBe(502);
  expect(await metric(gateway.url, 'legacy_unserved_total', 'why="cross-origin"')).toBe(2);
});

it('gives a held poll to the old backend when the flag is taken back, or all is killed', async () => {
  await publish(30);
  const serve = (percent: number) =>
    admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent, reason: 'test' });
  for (const back of [
    () => serve(0),
    () => admin(gateway.url, 'POST', '/rollout/kill', { reason: 'test' }),
  ]) {
    await serve(100);
    const asked = fetch(`${gateway.url}/api/updates?since=30&timeout=10`, {
      headers: { authorization: `Bearer ${await makeToken({ sub: 'ann' })}` },
    });
    await until(() => metric(gateway.url, 'turnout_polls_held'), 'a held poll', 1);
    await back();
    // Its own answer would be 200 or 204.
    expect((await asked).status).toBe(502);
  }
});
