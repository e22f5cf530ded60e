/** The paths of a legacy API under a flood from one address: its rate limit, its share of the slots, its slow bodies. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { call } from '../support/http-client.ts';
import { type LegacyNodeOptions, openLegacyNode, plainProfile } from '../support/legacy-node.ts';
import { openRaw } from '../support/raw-socket.ts';
import { until, within } from '../support/until.ts';

// The test is the proxy that tells where a request comes from.
const trustedProxies = ['127.0.0.1'];
const from = (address: string) => ({ 'x-forwarded-for': address });
const attacker = '203.0.113.9';
const honest = '198.51.100.7';

/** A node before an upstream that holds `/api/held` and answers everything else at once. */
async function behindUpstream(options: LegacyNodeOptions = {}) {
  const held = new Set<ServerResponse>();
  const upstream = createServer((request, response) => {
    if (request.url === '/api/held') {
      held.add(response);
      response.on('close', () => held.delete(response));
    } else response.end(`${request.method} ${request.url}`);
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const profile = plainProfile(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  profile.response.error['429'] = { status: 420, headers: {}, body: { calm: 'down' } };
  const node = await openLegacyNode(profile, { trustedProxies, ...options });
  onTestFinished(async () => {
    await node.close();
    upstream.closeAllConnections();
    upstream.close();
  });
  return { node, held };
}

const halfPost = (url: string, address: string) =>
  openRaw(
    url,
    `POST /api/save HTTP/1.1\r\nHost: old\r\nX-Forwarded-For: ${address}\r\nContent-Length: 10\r\n\r\nhalf`,
  );

describe('the rate limit of an address', () => {
  it('stands before legacy paths, polls and preflights too, and is told in the profile’s words', async () => {
    const { node } = await behindUpstream({ perSecond: 5 });
    const asked = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        call(`${node.url}/api/${index % 2 === 0 ? 'updates' : 'x'}`, {
          method: index % 3 === 0 ? 'OPTIONS' : 'GET',
          headers: from(attacker),
        }),
      ),
    );
    const refused = asked.filter(({ status }) => status === 420);
    expect(refused.length).toBeGreaterThanOrEqual(50);
    expect(refused[0]?.headers['retry-after']).toBe('1');
    expect(JSON.parse(refused[0]?.text ?? '')).toEqual({ calm: 'down' });
    expect((await call(`${node.url}/api/updates`, { headers: from(honest) })).status).toBe(200);
    expect(await node.metrics()).toContain(`legacy_refused_total{profile="plain",code="rate_limited"} `);
  });

  it('lets loopback pass', async () => {
    const { node } = await behindUpstream({ perSecond: 5, trustedProxies: [] });
    const asked = await Promise.all(Array.from({ length: 60 }, () => call(`${node.url}/api/x`)));
    expect(asked.filter(({ status }) => status !== 200)).toEqual([]);
  });
});

describe('upstream slots', () => {
  it('are not all for one address, however many polls it holds: others find one at once', async () => {
    const bounds = { connections: 8, maxQueued: 8, queueMs: 60_000 };
    const { node, held } = await behindUpstream({ bounds });
    const flood = Array.from({ length: 30 }, () =>
      call(`${node.url}/api/held`, { headers: from(attacker) }).then(
        ({ status }) => status,
        () => 0,
      ),
    );
    await until(() => held.size, 'the share of one address', 4);
    const other = call(`${node.url}/api/held`, { headers: from('192.0.2.44') });
    await until(() => held.size, 'a poll of a second address', 5);
    const { text } = await within(call(`${node.url}/api/x`, { headers: from(honest) }), 'an answer');
    expect([text, held.size]).toEqual(['GET /api/x', 5]);
    for (const response of held) response.end();
    await until(
      () => node.passthrough.open,
      'an end',
      (open) => {
        for (const response of held) response.end();
        return open === 0;
      },
    );
    expect((await Promise.all(flood)).filter((status) => status === 503).length).toBeGreaterThan(0);
    expect((await other).status).toBe(200);
  });

  it('are not kept from loopback, where a proxy stands that nobody has named', async () => {
    const { node, held } = await behindUpstream({ bounds: { connections: 8 }, trustedProxies: [] });
    const all = Array.from({ length: 8 }, () => call(`${node.url}/api/held`));
    await until(() => held.size, 'all slots', 8);
    for (const response of held) response.end();
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual(
      Array.from({ length: 8 }, () => 200),
    );
  });

  it('are taken only once a body has come: half a request holds none, and is ended in its time', async () => {
    const bounds = { connections: 2, bodyMs: 1500 };
    const { node } = await behindUpstream({ bounds, trustedProxies: [] });
    const halves = await Promise.all(Array.from({ length: 20 }, () => halfPost(node.url, attacker)));
    await until(() => node.passthrough.open, 'the halves', 20);
    expect((await within(call(`${node.url}/api/x`), 'an answer')).text).toBe('GET /api/x');
    const whole = await within(call(`${node.url}/api/save`, { method: 'POST', body: 'whole' }), 'a save');
    expect([whole.text, node.passthrough.open]).toEqual(['POST /api/save', 20]);
    await until(() => halves.every(({ isClosed }) => isClosed()), 'their end');
    expect(halves[0]?.said()).toMatch(/^HTTP\/1\.1 408 [\s\S]*request_timeout/);
    expect(node.passthrough.open).toBe(0);
  });

  it('have a bounded number of bodies before them, and no address waits with all of those', async () => {
    const { node } = await behindUpstream({ bounds: { maxBodies: 8, bodyMs: 60_000 } });
    const halves = await Promise.all(Array.from({ length: 12 }, () => halfPost(node.url, attacker)));
    await until(() => halves.filter((half) => half.said().startsWith('HTTP/1.1 503 ')).length, 'refusals', 8);
    const whole = { method: 'POST', body: 'whole', headers: from(honest) };
    expect((await within(call(`${node.url}/api/save`, whole), 'a save')).text).toBe('POST /api/save');
    expect(node.passthrough.open).toBe(4);
    for (const { socket } of halves) socket.destroy();
    await until(() => node.passthrough.open, 'their end', 0);
    await Promise.all(
      Array.from({ length: 4 }, async () =>
        expect((await call(`${node.url}/api/save`, whole)).status).toBe(200),
      ),
    );
  });

  it('are given back by a body that stops in its middle', async () => {
    const bounds = { connections: 1, bodyMs: 300 };
    const { node } = await behindUpstream({ bounds, trustedProxies: [] });
    const length = 200_000;
    const half = await openRaw(
      node.url,
      `POST /api/held HTTP/1.1\r\nHost: old\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length / 2)}`,
    );
    await until(() => half.isClosed(), 'its end');
    expect(half.said()).toMatch(/^HTTP\/1\.1 408 /);
    expect((await within(call(`${node.url}/api/x`), 'an answer')).status).toBe(200);
  });
});
