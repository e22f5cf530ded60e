/** A kill reaches everybody, streams that have said nothing yet too. */
import { afterEach, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin } from '../support/publisher.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

let gateway: Gateway;
afterEach(() => gateway.kill());

it('a kill closes with 4410 in its time a stream that has not sent its first frame', async () => {
  gateway = await startGateway({ TURNOUT_KILL_WINDOW_MS: '200' });
  const silent = new StreamClient(gateway.url, { token: await makeToken() });
  await until(
    async () => (await admin<{ sessions: unknown[] }>(gateway.url, 'GET', '/sessions')).body.sessions.length,
    'the stream to be admitted',
    1,
  );
  await admin(gateway.url, 'POST', '/rollout/kill', { reason: 'test' });
  const { code } = await silent.nextClose();
  expect(code).toBe(4410);
});
