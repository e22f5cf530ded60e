/** A node with 100,000 sessions: nobody who asks about them, and nothing that changes for them, stops it for all of them. */
import type { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RolloutBody, rolloutBodySchema, sessionsBodySchema } from '../../schema/admin.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { showData } from '../../src/gateway/data.ts';
import { adminRoutes } from '../../src/http/admin.ts';
import { joinFleet } from '../../src/http/admin-fleet.ts';
import { opsRoutes } from '../../src/http/ops.ts';
import { FurthestReader } from '../../src/hub/furthest-reader.ts';
import { Sessions } from '../../src/hub/sessions.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { createRollout, type Rollout } from '../../src/rollout/rollout.ts';
import { type Crowd, gather } from '../support/counted-crowd.ts';
import { until } from '../support/until.ts';
import { mounted, plainAuthenticator } from '../unit/rollout/http.ts';

const size = 100_000;
/** Sessions that one turn of the event loop may visit. */
const bound = 2000;
const log = { up: true, isUp: true, isReachable: true, detail: '', subscriptions: 1 };
const quiet = (): void => undefined;

let rollout: Rollout;
let crowd: Crowd;
let app: Hono;

beforeAll(async () => {
  const sessions = new Sessions();
  rollout = createRollout({
    config: readConfig({
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '100',
      TURNOUT_MOVE_RATE: '50000',
      TURNOUT_KILL_WINDOW_MS: '500',
      TURNOUT_POLL_CAPACITY: '1000000',
    }),
    clock: systemClock,
    nodeId: 'node-a',
    logger: { info: quiet, warn: quiet, error: quiet },
    sessions,
  });
  const metrics = new Metrics();
  const furthest = new FurthestReader(sessions, systemClock);
  const data = { hub: { feeds: 1, ringBytes: 0 }, log: { health: () => log } };
  metrics.onCollect(() => showData(metrics, data as never, sessions, furthest));
  const readiness = () => ({ phase: 'serving' as const, log, rules: { ...log, version: 1 } });
  app = mounted(
    adminRoutes({ rollout, authenticator: plainAuthenticator, adminToken: undefined, drain: quiet }) as never,
    opsRoutes({ authenticate: undefined, metrics, readiness, feeds: () => 1 }) as never,
  );
  joinFleet({ rollout, sessions, drain: quiet, shadows: () => ({}), clock: systemClock });
  crowd = gather(sessions, size);
  await until(async () => (await rolloutNow()).cohorts.canary.assigned, 'all are counted', size);
});
afterAll(async () => {
  await rollout.close();
  crowd.leave();
});

const headers = { authorization: 'Bearer acme/ada/admin', 'content-type': 'application/json' };
const get = async (path: string): Promise<Response> => app.request(path, { headers });
const rolloutNow = async (): Promise<RolloutBody> =>
  rolloutBodySchema.parse(await (await get('/admin/v1/rollout')).json());

async function change(method: string, path: string, body: object): Promise<void> {
  const sent = JSON.stringify({ ...body, reason: 'test' });
  const response = await app.request(`/admin/v1/rollout/${path}`, { method, headers, body: sent });
  expect(response.status).toBe(200);
}

describe('with 100,000 sessions on one node', () => {
  it('an admin answer visits few of them at a time, and counts all', async () => {
    let seen: RolloutBody | undefined;
    const most = await crowd.mostVisitedBy(async () => {
      seen = await rolloutNow();
    });
    expect(seen?.cohorts).toEqual({
      canary: { assigned: size, connected: { websocket: size / 2, 'long-poll': 0 } },
      control: { assigned: 0, connected: { websocket: 0, 'long-poll': size / 2 } },
    });
    expect(most).toBeLessThanOrEqual(bound);
  });

  it('the list of sessions does, also where it looks for an org that has none', async () => {
    const most = await crowd.mostVisitedBy(async () => {
      const some = sessionsBodySchema.parse(await (await get('/admin/v1/sessions?org=acme')).json());
      expect([some.sessions.length, some.more]).toEqual([1000, true]);
      const none = sessionsBodySchema.parse(await (await get('/admin/v1/sessions?org=nobody')).json());
      expect([none.sessions.length, none.more]).toEqual([0, false]);
    });
    expect(most).toBeLessThanOrEqual(bound);
  });

  it('a scrape does, and shows who is connected and how far the furthest is behind', async () => {
    let text = '';
    const most = await crowd.mostVisitedBy(async () => {
      text = await (await get('/metrics')).text();
    });
    expect(text).toContain(`turnout_connections{transport="websocket",cohort="canary"} ${size / 2}`);
    expect(text).toContain(`turnout_connections{transport="long-poll",cohort="control"} ${size / 2}`);
    expect(text).toContain(`turnout_reader_lag_events ${size}`);
    expect(most).toBeLessThanOrEqual(bound);
  });

  it('readiness and the totals of the node visit none', async () => {
    const most = await crowd.mostVisitedBy(async () => {
      for (const path of ['/readyz', '/healthz', '/v2/realtime/metrics'])
        expect((await get(path)).status).toBe(200);
    });
    expect(most).toBe(0);
  });

  it('a change of the percentage and a kill do, while somebody watches, and everybody is decided anew', async () => {
    const most = await crowd.mostVisitedBy(async () => {
      await change('PUT', 'percent', { percent: 40 });
      await until(
        rolloutNow,
        'counted by the new rules',
        ({ version, assignedBy }) => assignedBy === version,
      );
      const { cohorts, movesInProgress } = await rolloutNow();
      expect(cohorts.canary.assigned / size).toBeCloseTo(0.4, 1);
      expect(cohorts.canary.assigned + cohorts.control.assigned).toBe(size);
      expect(movesInProgress).toMatchObject([{ from: 'websocket', to: 'long-poll' }]);
      await change('POST', 'kill', {});
      const isTold = (): boolean => crowd.members.every((one, at) => at % 2 === 1 || one.orders.length === 1);
      await until(isTold, 'every stream is told');
      expect((await rolloutNow()).cohorts.control.assigned).toBe(size);
    });
    expect(most).toBeLessThanOrEqual(bound);
  });
});
