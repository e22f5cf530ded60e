/** The audit trail has room for everybody: one author who does a great many deeds takes it from nobody, and is slowed down. */
import { afterEach, describe, expect, it } from 'vitest';
import { auditBodySchema, auditPageEntries, type TrailEntry } from '../../schema/audit.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { tokenHolder } from '../../src/rollout/rules/author.ts';
import type { RulesStore } from '../../src/rollout/rules/store.ts';
import { trailLimits } from '../../src/rollout/rules/trail.ts';
import { setPercent } from '../../src/rollout/rules/transitions.ts';
import { call, type ErrorAnswer } from '../support/http-client.ts';
import { RedisServer } from '../support/redis.ts';
import { openRolloutNode } from '../support/rollout-node.ts';
import { makeToken, testSecret } from '../support/token-maker.ts';
import { stage } from '../unit/rollout/support.ts';

const ann = { ...tokenHolder({ org: 'acme', sub: 'ann' }), reason: 'step one' };
const eve = { ...tokenHolder({ org: 'acme', sub: 'eve' }), reason: 'cover' };

/** The whole trail, page by page. */
async function wholeTrail(store: RulesStore): Promise<TrailEntry[]> {
  const all: TrailEntry[] = [];
  for (;;) {
    const page = await store.audit(auditPageEntries, all.at(-1)?.id);
    all.push(...page);
    if (page.length < auditPageEntries) return all;
  }
}

/** At least so many deeds of one author: changes of the rules and others. */
async function flood(store: RulesStore, deeds: number): Promise<void> {
  const note = () => store.note({ ...eve, action: 'drain', from: null, to: 'node-x' });
  for (let done = 0; done < deeds; done += 250) {
    await store.change(setPercent((done / 250) % 100), eve);
    await Promise.all(Array.from({ length: 249 }, note));
  }
  await store.change(setPercent(99), eve);
}

async function expectFairShares(store: RulesStore, deeds: number): Promise<void> {
  await store.change(setPercent(11), ann);
  await flood(store, deeds);
  const trail = await wholeTrail(store);
  expect(trail).toContainEqual(expect.objectContaining({ who: 'acme/ann', to: 11, reason: 'step one' }));
  expect(trail).toContainEqual(expect.objectContaining({ who: 'environment', action: 'start' }));
  const theirs = trail.filter(({ who }) => who === 'acme/eve');
  expect(theirs).toHaveLength(trailLimits.ofOneAuthor);
  expect(theirs[0]?.version).toBe(store.current()?.version);
  expect(new Set(trail.map(({ id }) => id)).size).toBe(trail.length);
}

describe('deeds of others stay in the trail, whatever one author does', () => {
  it('in memory', async ({ onTestFinished }) => {
    const { rollout } = stage();
    onTestFinished(() => rollout.close());
    await expectFairShares(rollout.store, trailLimits.entries * 1.05);
  });

  it('in Redis', async ({ onTestFinished }) => {
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const node = await openRolloutNode('node-a', redis.port);
    onTestFinished(() => node.close());
    await expectFairShares(node.rollout.store, trailLimits.ofOneAuthor * 1.5);
  });
});

it('a change is written, and the trail told, where its share cannot be kept', async ({ onTestFinished }) => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  // A user of an older release's permissions.
  await redis.client.acl('SETUSER', 'default', '-xdel');
  const node = await openRolloutNode('node-a', redis.port);
  onTestFinished(() => node.close());
  const { store } = node.rollout;
  await flood(store, trailLimits.ofOneAuthor + 1);
  expect((await store.audit(1))[0]).toMatchObject({ who: 'acme/eve', to: 99 });
});

describe('by the admin API', () => {
  let gateway: Gateway | undefined;
  afterEach(() => gateway?.drain());

  async function open(perMin?: string) {
    const lines: string[] = [];
    const config = readConfig({
      TURNOUT_PORT: '0',
      TURNOUT_JWT_SECRET: testSecret,
      TURNOUT_DRAIN_MS: '0',
      REALTIME_STREAMING_V2: 'true',
      ...(perMin !== undefined && { TURNOUT_MAX_CHANGES_PER_AUTHOR_PER_MIN: perMin }),
    });
    const logger = createLogger('info', { write: (line: string) => void lines.push(line) });
    gateway = await openGateway({ config, clock: systemClock, logger });
    const { url } = gateway;
    const ask = async (method: string, path: string, sub: string, body?: object) => {
      const token = await makeToken({ sub, roles: ['admin'] });
      return call<ErrorAnswer>(`${url}/admin/v1${path}`, { method, token, ...(body && { body }) });
    };
    const put = (sub: string, percent: number) =>
      ask('PUT', '/rollout/percent', sub, { percent, reason: `to ${percent}` });
    return { ask, put, lines };
  }

  it('an author who changes too much is told to wait; a kill passes, and so do others', async () => {
    const { ask, put } = await open('3');
    for (let count = 1; count <= 3; count += 1) expect((await put('eve', count)).status).toBe(200);
    const refused = await put('eve', 4);
    expect(refused).toMatchObject({
      status: 429,
      body: { error: { code: 'rate_limited', retry: 'backoff' } },
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    const reason = { reason: 'now' };
    for (const [method, path, body] of [
      ['PUT', '/rollout/enabled', { enabled: true, ...reason }],
      ['PUT', '/rollout/flags/ws-autoreconnect', { percent: 1, ...reason }],
      ['PUT', '/rollout/allowlist', { users: [], ...reason }],
      ['PUT', '/rollout/denylist', { users: [], ...reason }],
      ['POST', '/rollout/pause', reason],
      ['POST', '/rollout/resume', reason],
      ['POST', '/rollout/unkill', reason],
      ['POST', '/nodes/x/drain', reason],
    ] as const)
      expect((await ask(method, path, 'eve', body)).status, path).toBe(429);
    for (let count = 0; count < 5; count += 1)
      expect((await ask('POST', '/rollout/kill', 'eve', reason)).status).toBe(200);
    expect((await put('ann', 5)).status).toBe(200);
    expect((await ask('POST', '/rollout/unkill', 'ann', reason)).status).toBe(200);
    expect((await ask('GET', '/audit', 'eve')).status).toBe(200);
  });

  it('a person who tries each percentage in a row meets no limit', async () => {
    const { put } = await open();
    for (let percent = 1; percent <= 100; percent += 1) expect((await put('ann', percent)).status).toBe(200);
  });

  it('every deed is a line of the log: who, as what, from, to and why', async () => {
    const { ask, put, lines } = await open();
    await put('ann', 30);
    const users = Array.from({ length: 5000 }, (_, at) => `user-${at}`);
    await ask('PUT', '/rollout/denylist', 'ann', { users, reason: 'a long list' });
    await ask('POST', '/rollout/kill', 'ann', { reason: 'smoke' });
    await ask('POST', '/rollout/unkill', 'ann', { reason: 'over' });
    const deeds = lines.filter((line) => line.includes('"audit"')).map((line) => JSON.parse(line) as object);
    const by = { by: 'token', who: 'acme/ann' };
    expect(deeds).toMatchObject([
      { audit: { by: 'environment', action: 'start' } },
      { level: 'info', audit: { ...by, action: 'percent', from: 0, to: 30, reason: 'to 30' } },
      { audit: { ...by, action: 'denylist', reason: 'a long list' } },
      { audit: { ...by, action: 'kill', reason: 'smoke' } },
      { audit: { ...by, action: 'unkill', reason: 'over' } },
    ]);
    expect(lines.every((line) => line.length < 6000)).toBe(true);
    const told = auditBodySchema.parse((await ask('GET', '/audit', 'ann')).body);
    expect(told.entries.find(({ action }) => action === 'denylist')).toMatchObject({
      to: { names: 5000, added: 5000, first: users.slice(0, 20) },
    });
  });

  it('older entries are reached page by page, each once, and a page that is none is 400', async () => {
    const { ask, put } = await open();
    for (let percent = 1; percent <= 10; percent += 1) await put('ann', percent);
    const seen: unknown[] = [];
    let before = '';
    for (let pages = 0; pages < 10; pages += 1) {
      const { body } = await ask('GET', `/audit?limit=3&before=${before}`, 'ann');
      const { entries, next } = auditBodySchema.parse(body);
      seen.push(...entries.map(({ to }) => to));
      if (next === null) break;
      before = next;
    }
    expect(seen).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, expect.objectContaining({ allowlist: [] })]);
    for (const query of ['before=x', 'limit=0', 'limit=1001', 'before=-1', 'limit=1e3'])
      expect((await ask('GET', `/audit?${query}`, 'ann')).status, query).toBe(400);
    expect(auditBodySchema.parse((await ask('GET', '/audit', 'ann')).body)).toMatchObject({ next: null });
  });
});
