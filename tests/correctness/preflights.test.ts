/** CORS preflights under the rate limit of an address. */
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openServer } from '../../src/http/server.ts';
import { edgeApp } from '../support/edge-app.ts';
import { openConnections } from '../support/http-connections.ts';
import { call } from '../support/http-client.ts';

const origin = 'https://app.example.com';

async function serve(origins: readonly string[]) {
  const edge = edgeApp({ origins, perSecond: 5, trustedProxies: ['127.0.0.1'] });
  const server = await openServer({
    fetch: edge.app.fetch,
    config: { ...readConfig({}), TURNOUT_PORT: 0 },
    clock: systemClock,
    takes: undefined,
    attach: () => undefined,
    connections: openConnections().connections,
  });
  onTestFinished(() => server.close());
  const headers = { origin, 'access-control-request-method': 'POST', 'x-forwarded-for': '203.0.113.9' };
  return async (method: string) => call(`${server.url}/v1/publish`, { method, headers });
}
const statuses = async (ask: () => Promise<{ status: number }>, times: number): Promise<number[]> => {
  const all = await Promise.all(Array.from({ length: times }, ask));
  return all.map(({ status }) => status).toSorted((a, b) => a - b);
};

it.each([
  ['the origins that are allowed', [origin], 204],
  ['all origins', ['*'], 204],
  ['none', [], 405],
])('a flood of preflights is refused past the limit, where CORS is for %s', async (_, origins, answered) => {
  const ask = await serve(origins);
  const expected = Array.from({ length: 20 }, (_each, index) => (index < 5 ? answered : 429));
  expect(await statuses(() => ask('OPTIONS'), 20)).toEqual(expected);
});

it('a preflight counts once, and a page can read why its other requests are refused', async () => {
  const ask = await serve([origin]);
  expect(await statuses(() => ask('OPTIONS'), 3)).toEqual([204, 204, 204]);
  expect(await statuses(() => ask('GET'), 2)).toEqual([405, 405]);
  const refused = await ask('GET');
  expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([429, origin]);
});
