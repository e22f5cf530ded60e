/**
 * A node with a crowd that no socket brings: the gateway's own sessions, rollout, admin API and metrics over sessions made
 * here, which follow each `migrate` a moment later as a client does. It tells how long its event loop stood still.
 */
import type { Server } from 'node:http';
import { PerformanceObserver } from 'node:perf_hooks';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import type { Transport } from '../../schema/frames.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { showData } from '../../src/gateway/data.ts';
import { adminRoutes } from '../../src/http/admin.ts';
import { joinFleet } from '../../src/http/admin-fleet.ts';
import { opsRoutes } from '../../src/http/ops.ts';
import { FurthestReader } from '../../src/hub/furthest-reader.ts';
import { type LiveSession, Sessions } from '../../src/hub/sessions.ts';
import { createLogger } from '../../src/logger.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { createRollout } from '../../src/rollout/rollout.ts';
import { mainThreadCpuMs } from '../machine.ts';
import { listen } from '../servers/listen.ts';

const size = Number(process.env['SESSIONS']);
const adminToken = process.env['ADMIN_TOKEN'];
/** Clients that come back on their other transport in one go of so many milliseconds: 20,000 a second. */
const [together, everyMs] = [20, 1];

const clock = systemClock;
const sessions = new Sessions();
const metrics = new Metrics();
const rollout = createRollout({
  config: readConfig({
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
    TURNOUT_MOVE_RATE: '20000',
    TURNOUT_POLL_CAPACITY: '20000',
    TURNOUT_MOVE_WITHIN_MS: '1000',
  }),
  clock,
  nodeId: 'crowded',
  logger: createLogger('silent'),
  sessions,
});

/** Those who were told to move, and come back on the other transport. */
const moving: CrowdSession[] = [];

class CrowdSession implements LiveSession {
  readonly connection = clock.id();
  readonly org = 'crowd';
  readonly session: string;
  readonly assignment: number | undefined;
  readonly supports: readonly string[] = [];
  readonly override = undefined;
  readonly sinceMs = clock.now();
  readonly cohort: LiveSession['cohort'];
  isMoving = false;

  constructor(
    readonly sub: string,
    readonly transport: Transport,
  ) {
    this.session = sub;
    const { cohort, assignment } = rollout.decider.decide({ org: this.org, sub });
    this.cohort = cohort;
    this.assignment = assignment;
  }

  position(): undefined {
    return undefined;
  }
  behind(): number {
    return 0;
  }
  migrate(): void {
    if (this.isMoving) return;
    this.isMoving = true;
    moving.push(this);
  }
  end(): void {
    sessions.remove(this);
  }
}

for (let at = 0; at < size; at += 1) sessions.add(new CrowdSession(`user-${at}`, 'websocket'));
clock.every(everyMs, () => {
  for (const session of moving.splice(0, together)) {
    sessions.remove(session);
    sessions.add(
      new CrowdSession(session.sub, session.transport === 'websocket' ? 'long-poll' : 'websocket'),
    );
  }
});

/** How long the event loop stood still, and how much of it was work: the rest it had no core, or its host had none. */
let delays: { readonly ms: number; readonly workedMs: number }[] = [];
let [lastMs, lastCpuMs] = [performance.now(), mainThreadCpuMs(process.pid)];
function sample(): void {
  const [nowMs, cpuMs] = [performance.now(), mainThreadCpuMs(process.pid)];
  delays.push({ ms: nowMs - lastMs - 1, workedMs: cpuMs - lastCpuMs });
  [lastMs, lastCpuMs] = [nowMs, cpuMs];
  setTimeout(sample, 1);
}
sample();
let collections: number[] = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collections.push(duration);
}).observe({ entryTypes: ['gc'] });

const readiness = () => ({
  phase: 'serving' as const,
  log: { isUp: true, isReachable: true, detail: 'none', subscriptions: 0 },
  rules: { ...rollout.store.health(), version: rollout.decider.assignment },
});
const data = { hub: { feeds: 1, ringBytes: 0 }, log: { health: () => readiness().log } };
const furthest = new FurthestReader(sessions, clock);
// Of the data side only these are read: no event flows here.
metrics.onCollect(() =>
  showData(metrics, data as unknown as Parameters<typeof showData>[1], sessions, furthest),
);
const authenticator = { verifyToken: () => Promise.reject(new Error('only the admin token is known here')) };
const app = new Hono();
app.route('/', adminRoutes({ rollout, authenticator, adminToken, drain: () => undefined }));
app.route('/', opsRoutes({ authenticate: undefined, metrics, readiness, feeds: () => 1 }));
app.get('/delays', (c) => {
  const answer = { delays, collections, connected: sessions.connected() };
  [delays, collections] = [[], []];
  return c.json(answer);
});
joinFleet({ rollout, sessions, clock, drain: () => undefined, shadows: () => ({}) });
listen(createAdaptorServer({ fetch: app.fetch }) as Server);
