/** What `/metrics` counts, and that no label is ever the peer's own words. */
import { describe, expect, it } from 'vitest';
import { closeLabels, Metrics } from '../../src/metrics/metrics.ts';

const closed = { code: 1013, reason: 'overloaded', durationMs: 5, isPlanned: false, wasLive: false };

describe('metrics', () => {
  it('counts each close by code and by a reason of our own table', async () => {
    const metrics = new Metrics();
    metrics.streamClosed(closed);
    metrics.streamClosed({
      code: 4410,
      reason: 'moved',
      durationMs: 7_200_000,
      isPlanned: true,
      wasLive: true,
    });
    metrics.streamClosed({
      code: 1006,
      reason: undefined,
      durationMs: 90_000,
      isPlanned: false,
      wasLive: true,
    });
    const text = await metrics.text();
    expect(text).toContain('ws_closes_total{code="1013",reason="overloaded"} 1');
    expect(text).toContain('ws_closes_total{code="4410",reason="moved"} 1');
    expect(text).toContain('ws_closes_total{code="1006",reason="peer_1006"} 1');
    expect(text).toContain('ws_connection_duration_seconds_bucket{le="7200",planned="true"} 1');
    expect(text).toContain('ws_connection_duration_seconds_bucket{le="3600",planned="true"} 0');
    // A stream that was refused at the upgrade says nothing about how long connections last.
    expect(text).toContain('ws_connection_duration_seconds_count{planned="false"} 1');
  });

  it('gives a bounded label to whatever a peer sends', () => {
    expect(closeLabels({ code: 4999, reason: undefined })).toEqual({ code: 'other', reason: 'peer_other' });
    expect(closeLabels({ code: 1000, reason: 'constructor' })).toEqual({ code: '1000', reason: 'peer_1000' });
    const labels = new Set<string>();
    for (let code = 0; code < 5000; code += 1) labels.add(closeLabels({ code, reason: undefined }).reason);
    expect(labels.size).toBeLessThan(20);
  });

  it('shows what the hot paths counted', async () => {
    const metrics = new Metrics();
    metrics.traffic.frames.assistant_message += 3;
    metrics.traffic.delivered['long-poll'] += 7;
    metrics.traffic.compressedFrames += 2;
    metrics.traffic.pollsHeld = 4;
    await metrics.text();
    const text = await metrics.text();
    expect(text).toContain('ws_frames_sent_total{event="assistant_message"} 3');
    expect(text).toContain('ws_frames_sent_total{event="typing"} 0');
    expect(text).toContain('turnout_events_delivered_total{transport="long-poll"} 7');
    expect(text).toMatch(/^turnout_compressed_frames_total 2$/m);
    expect(text).toMatch(/^turnout_polls_held 4$/m);
  });

  it('spreads latencies over buckets that add up', async () => {
    const metrics = new Metrics();
    metrics.appendToWrite.observe('websocket', 0.004, 10);
    metrics.appendToWrite.observe('websocket', 60);
    const text = await metrics.text();
    expect(text).toContain('turnout_append_to_write_seconds_bucket{le="0.005",transport="websocket"} 10');
    expect(text).toContain('turnout_append_to_write_seconds_bucket{le="+Inf",transport="websocket"} 11');
    expect(text).toContain('turnout_append_to_write_seconds_count{transport="websocket"} 11');
  });

  it('asks for gauges when it is read, and knows the process', async () => {
    const metrics = new Metrics();
    const connected = {
      canary: { websocket: 1, 'long-poll': 0 },
      control: { websocket: 0, 'long-poll': 0 },
    };
    metrics.onCollect(() => metrics.setConnections(connected));
    const text = await metrics.text();
    expect(text).toContain('turnout_connections{transport="websocket",cohort="canary"} 1');
    expect(text).toContain('turnout_connections{transport="long-poll",cohort="control"} 0');
    expect(text).toContain('process_cpu_seconds_total');
  });

  it('keeps two gateways of one process apart', async () => {
    const [one, other] = [new Metrics(), new Metrics()];
    one.streamClosed(closed);
    expect(await other.text()).not.toContain('reason="overloaded"');
  });
});
