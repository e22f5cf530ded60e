/** What a node tells operators and balancers (docs/PROTOCOL.md, 13). */
import { describe, expect, it } from 'vitest';
import { nodeMetricsSchema } from '../../schema/http.ts';
import { edgeApp } from '../support/edge-app.ts';

describe('readiness', () => {
  it('fails while starting and while draining only', async () => {
    const { app, state } = edgeApp();
    const ask = async () => {
      const response = await app.request('/readyz');
      return [response.status, ((await response.json()) as { status: string }).status];
    };
    expect(await ask()).toEqual([200, 'ok']);
    state.phase = 'starting';
    expect(await ask()).toEqual([503, 'starting']);
    state.phase = 'draining';
    expect(await ask()).toEqual([503, 'draining']);
  });

  it('reports an outage of the log or the rules, and stays in the balancer', async () => {
    const { app, state, log } = edgeApp();
    state.isRulesUp = false;
    const response = await app.request('/readyz');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: 'degraded', rules: { up: false, version: 18 } });
    state.isRulesUp = true;
    await log.close();
    expect(await (await app.request('/readyz')).json()).toMatchObject({
      status: 'degraded',
      log: { up: false },
    });
  });

  it('is not life: a draining process still lives', async () => {
    const { app, state } = edgeApp();
    state.phase = 'draining';
    const response = await app.request('/healthz');
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
  });
});

describe('metrics', () => {
  it('are Prometheus text, with requests by route and never by path', async () => {
    const { app } = edgeApp();
    await app.request('/healthz');
    await app.request('/made/up/7');
    await app.request('/docs/nothing.js');
    const response = await app.request('/metrics');
    const text = await response.text();
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(text).toContain('turnout_http_requests_total{route="/healthz",status="200"} 1');
    expect(text).toContain('turnout_http_requests_total{route="unmatched",status="404"} 1');
    expect(text).toContain('turnout_http_requests_total{route="/docs/:file",status="404"} 1');
    expect(text).not.toContain('made/up');
    for (const name of [
      'ws_closes_total',
      'ws_connection_duration_seconds',
      'ws_frames_sent_total',
      'ws_reconnect_advice_total',
    ])
      expect(text).toContain(`# TYPE ${name} `);
  });

  it('count what was published', async () => {
    const { app, post } = edgeApp();
    const events = ['a', 'b', 'a'].map((id) => ({ service: 'chat', type: 'note', payload: 1, id }));
    await post('/v1/publish', { events }, { roles: ['producer'] });
    const text = await (await app.request('/metrics')).text();
    expect(text).toMatch(/^turnout_events_appended_total 2$/m);
    expect(text).toMatch(/^turnout_events_duplicate_total 1$/m);
  });

  it('of the node are its totals, for any user, and in the demo for anybody', async () => {
    const { app, metrics, token } = edgeApp();
    metrics.traffic.activeStreams = 2;
    metrics.traffic.acceptedStreams = 5;
    metrics.traffic.delivered = { websocket: 7, 'long-poll': 4 };
    metrics.traffic.replayed = { websocket: 1, 'long-poll': 2 };
    metrics.traffic.compressedFrames = 6;
    expect((await app.request('/v2/realtime/metrics')).status).toBe(401);
    const headers = { authorization: `Bearer ${await token()}` };
    const body: unknown = await (await app.request('/v2/realtime/metrics', { headers })).json();
    expect(nodeMetricsSchema.parse(body)).toEqual({
      activeConnections: 2,
      totalConnections: 5,
      eventsDelivered: 11,
      compressedMessages: 6,
      missedEventsReplayed: 1,
      connectionPoolStats: { totalSubscriptions: 0, totalConnections: 2, totalOrgs: 3 },
    });
    expect((await edgeApp({ isDemo: true }).app.request('/v2/realtime/metrics')).status).toBe(200);
  });
});
