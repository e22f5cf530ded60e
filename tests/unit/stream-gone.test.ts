/** A stream whose client goes while the log is asked where it stands. */
import { expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openGateway } from '../../src/gateway/gateway.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { createLogger } from '../../src/logger.ts';
import { faultyLog } from '../support/faulty-log.ts';
import { call } from '../support/http-client.ts';
import { metric } from '../support/publisher.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, testSecret } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

interface Counts {
  readonly activeConnections: number;
  readonly connectionPoolStats: { readonly totalOrgs: number };
}

it.each([
  { what: 'the feed opens', isFeedOpen: false },
  { what: 'its place is looked up', isFeedOpen: true },
])('leaves no feed behind where it goes while $what', async ({ isFeedOpen }) => {
  const log = faultyLog(
    createMemoryLog({
      clock: systemClock,
      retentionMs: 60_000,
      retentionEvents: 1000,
      retentionBytes: 1 << 20,
    }),
  );
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_FEED_LINGER_MS: '1',
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
  });
  const gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent'), log });
  try {
    const token = await makeToken({});
    const opened = (more: object): StreamClient =>
      new StreamClient(gateway.url, { token, first: { services: ['chat'], version: 1, ...more } });
    const counts = async () => (await call<Counts>(`${gateway.url}/v2/realtime/metrics`, { token })).body;
    const first = isFeedOpen ? opened({}) : undefined;
    await first?.next('ack');
    log.hold('read');
    const stream = opened({ cursor: 'earliest' });
    await until(() => log.waiting('read'), 'the question', 1);
    stream.destroy();
    const others = isFeedOpen ? 1 : 0;
    await until(async () => (await counts()).activeConnections, 'the end of the stream', others);
    log.heal();
    if (first !== undefined) {
      await log.append('acme', 'p', [prepareEvent({ service: 'chat', type: 't', payload: 1 }, 'one')]);
      await first.nextEvents(1);
      // The one that is there, and no reader of the one that has gone.
      expect(await metric(gateway.url, 'turnout_append_to_write_seconds_count')).toBe(1);
      first.destroy();
    }
    await until(async () => (await counts()).connectionPoolStats.totalOrgs, 'the end of the feed', 0);
    expect(log.health().subscriptions).toBe(0);
  } finally {
    log.heal();
    await gateway.drain();
  }
});
