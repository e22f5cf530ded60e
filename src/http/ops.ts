/** The routes for operators and balancers: liveness, readiness, metrics, and a node's totals. */
import { Hono } from 'hono';
import { describeRoute } from 'hono-openapi';
import { z } from 'zod';
import {
  type BridgeHealth,
  bridgeHealthSchema,
  type NodeMetrics,
  nodeMetricsSchema,
  type Ready,
  readySchema,
} from '../../schema/http.ts';
import type { LogHealth } from '../log/event-log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Traffic } from '../metrics/traffic.ts';
import type { Authenticate } from './app.ts';
import { answer, refusals, tokenRefusals } from './described.ts';

/** The state of a node. */
export interface Readiness {
  readonly phase: 'starting' | 'serving' | 'draining';
  readonly log: LogHealth;
  readonly rules: { readonly isUp: boolean; readonly detail: string; readonly version: number };
  /** One for each profile with a source. They don't affect readiness. */
  readonly bridges?: readonly BridgeHealth[];
}

export interface OpsDeps {
  /** Undefined in the demo, where everybody may read the totals. */
  readonly authenticate: Authenticate | undefined;
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** Orgs with an open feed. */
  readonly feeds: () => number;
}

const describeHealth = describeRoute({
  summary: 'The process lives',
  tags: ['ops'],
  responses: { 200: answer('it does', z.object({ status: z.literal('ok') })) },
});
const describeReadiness = describeRoute({
  summary: 'Whether this node should get traffic',
  description:
    'An outage of the log or the rules is `degraded`, still 200: no balancer may drop every node for it.',
  tags: ['ops'],
  responses: {
    200: answer('it should: ok or degraded', readySchema),
    503: answer('not yet or no longer: starting or draining', readySchema),
  },
});
const describeMetrics = describeRoute({
  summary: 'All metrics, for Prometheus',
  tags: ['ops'],
  responses: {
    200: { description: 'text format', content: { 'text/plain': { schema: { type: 'string' } } } },
  },
});
const describeNodeMetrics = describeRoute({
  summary: "This node's totals, nobody's data",
  tags: ['realtime'],
  security: [{ bearer: [] }],
  responses: {
    200: answer('totals since the node started', nodeMetricsSchema),
    ...refusals(...tokenRefusals),
  },
});

export function opsRoutes(deps: OpsDeps): Hono {
  const { metrics } = deps;
  return new Hono()
    .get('/healthz', describeHealth, (c) => c.json({ status: 'ok' as const }))
    .get('/readyz', describeReadiness, (c) => {
      const ready = readyBody(deps.readiness());
      return c.json(ready, ready.status === 'ok' || ready.status === 'degraded' ? 200 : 503);
    })
    .get('/metrics', describeMetrics, async (c) =>
      c.body(await metrics.text(), 200, { 'content-type': metrics.registry.contentType }),
    )
    .get('/v2/realtime/metrics', describeNodeMetrics, async (c) => {
      await deps.authenticate?.(c);
      return c.json(nodeMetrics(metrics.traffic, deps.readiness().log.subscriptions, deps.feeds()));
    });
}

function readyBody({ phase, log, rules, bridges = [] }: Readiness): Ready {
  const whileServing = log.isUp && rules.isUp ? 'ok' : 'degraded';
  return {
    status: phase === 'serving' ? whileServing : phase,
    log: { up: log.isUp, detail: log.detail },
    rules: { up: rules.isUp, detail: rules.detail, version: rules.version },
    // A bridge's report holds its counts, too, which are for the metrics.
    ...(bridges.length > 0 && { bridges: bridges.map((bridge) => bridgeHealthSchema.parse(bridge)) }),
  };
}

/** Returns a node's totals, under the names of docs/PROTOCOL.md, 13. */
function nodeMetrics(traffic: Traffic, subscriptions: number, feeds: number): NodeMetrics {
  const { delivered, replayed } = traffic;
  return {
    activeConnections: traffic.activeStreams,
    totalConnections: traffic.acceptedStreams,
    eventsDelivered: delivered.websocket + delivered['long-poll'],
    compressedMessages: traffic.compressedFrames,
    // Streams alone: an event between two polls is not missed, it waits.
    missedEventsReplayed: replayed.websocket,
    connectionPoolStats: {
      totalSubscriptions: subscriptions,
      totalConnections: traffic.activeStreams,
      totalOrgs: feeds,
    },
  };
}
