/** The demo answers this machine's own page and curl: no page of another origin, under whatever name it asks. */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { isLoopbackHost } from '../../src/config/loopback.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';

let gateway: Gateway;
beforeAll(async () => {
  const config = readConfig({ TURNOUT_PORT: '0', TURNOUT_DEMO_CROWD: '0' });
  gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent') });
});
afterAll(() => gateway.drain());

/** fetch lets nobody set `Host`. */
const statusOf = (method: 'GET' | 'POST', path: string, headers: Record<string, string> = {}) =>
  new Promise<number | undefined>((resolve, reject) => {
    request(gateway.url + path, { method, headers }, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject)
      .end(method === 'POST' ? '{"amount":1}' : undefined);
  });

const guarded = [
  ['GET', '/demo/tokens'],
  ['POST', '/finance/revenue'],
  ['POST', '/guest-checkin/bulk'],
] as const;
const rebound = ['127.evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', 'evil.example'];

describe.each(guarded)('the demo at %s %s', (method, path) => {
  it.each(rebound)('refuses a page that made %s point here', async (host) => {
    expect(await statusOf(method, path, { host })).toBe(403);
    expect(await statusOf(method, path, { host, origin: `http://${host}` })).toBe(403);
  });

  it.each(['http://evil.example', 'http://localhost:1', 'http://127.0.0.1', 'null', 'file://', 'x'])(
    'refuses a page of the origin %s',
    async (origin) => {
      expect(await statusOf(method, path, { origin })).toBe(403);
    },
  );

  it('refuses what another page asks without naming its origin', async () => {
    for (const site of ['cross-site', 'same-site'])
      expect(await statusOf(method, path, { 'sec-fetch-site': site })).toBe(403);
  });

  it('answers curl and its own page, under each name of this machine', async () => {
    const { port } = new URL(gateway.url);
    expect(await statusOf(method, path)).toBe(200);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, `127.8.9.10:${port}`])
      expect(
        await statusOf(method, path, { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }),
      ).toBe(200);
  });
});

it('only a literal loopback address and localhost are this machine, for settings too', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost'])
    expect(isLoopbackHost(host), host).toBe(true);
  for (const host of [
    '127.evil.example',
    '127.',
    '127.0.0.1.',
    '127.0.0.1.evil.example',
    '1270.0.0.1',
    '::',
    '',
  ])
    expect(isLoopbackHost(host), host).toBe(false);
  // A made-up key, and a short secret, are for loopback alone.
  for (const env of [{}, { TURNOUT_JWT_SECRET: 'short' }])
    expect(() => readConfig({ ...env, TURNOUT_HOST: '127.evil.example' })).toThrow(/off loopback/);
});
