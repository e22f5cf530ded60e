/**
 * docs/ops' snippets as they stand in a real HAProxy and a real nginx: Turnout's own paths reach a node as they are written,
 * and no spelling, and nothing that hides in a body, leads to a path that stays inside.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGatewayHere } from '../support/gateway-here.ts';
import { Haproxy } from '../support/haproxy.ts';
import { call } from '../support/http-client.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { Nginx } from '../support/nginx.ts';
import { exchangeRaw } from '../support/raw-socket.ts';
import { openTellingUpstream, smuggle, smuggledForms } from '../support/smuggling.ts';
import { testAdminToken } from '../support/token-maker.ts';

let site: Awaited<ReturnType<typeof openTellingUpstream>>;
/** The upstream that nodes ask; in truth it is the site, too. */
let behindNode: typeof site;
let node: Awaited<ReturnType<typeof openGatewayHere>>;
let haproxy: Haproxy;
let nginx: Nginx;

beforeAll(async () => {
  [site, behindNode] = await Promise.all([openTellingUpstream(), openTellingUpstream()]);
  const settings = { TURNOUT_TRUSTED_PROXIES: '127.0.0.1', REALTIME_ROLLOUT_PERCENT: '7' };
  node = await openGatewayHere([plainProfile(behindNode.url)], settings);
  haproxy = await Haproxy.start({ nodes: [node.url, node.url], site: site.url });
  nginx = await Nginx.start({ backend: site.url, turnout: node.url }, 'turnout_or_backend');
});
afterAll(async () => {
  await nginx.stop();
  await haproxy.end();
  await node.close();
  site.close();
  behindNode.close();
});

const percent = async (): Promise<unknown> =>
  (await call<{ percent: number }>(`${node.url}/admin/v1/rollout`, { token: testAdminToken })).body.percent;

const outside = [
  '/v1/realtime/../..',
  '/v1/realtime/%2e%2e/%2e%2e',
  '/v1/realtime/.%2E/%2E.',
  '/v1/realtime/..%2f..',
  '/v1/realtime/%2e%2e%2f%2e%2e',
  '/v1/realtime/..%5c..',
  '/v1/realtime/%252e%252e/%252e%252e',
  '/v1/realtime/poll/../../..',
  '/v1/realtime/poll%2f..%2f..%2f..',
  '/v1/realtime/poll;/../../..',
  '/v1/realtime/..;/..',
  '/v1/realtime/%c0%ae%c0%ae/%c0%ae%c0%ae',
  '/v2/realtime/stream/../../..',
  '/v1/realtime/poll#/../../..',
  '/v1/realtime/poll%23/../../..',
  '/v1/realtime/poll%3f/../../..',
  '/v1/realtime//../..',
  '/v1/realtime/./../..',
  '/api/updates/../..',
  '/api/updates%2f..%2f..',
  '',
  '/',
  '//',
  '/.',
  '/%2e',
  'http://old',
  'http://old/v1/realtime/../..',
];
const inside = [
  '/metrics',
  '/%6detrics',
  '/healthz',
  '/admin/v1/rollout',
  '/%61dmin/v1/rollout',
  '/admin%2fv1%2frollout',
  '/v1/publish',
  '/openapi.json',
];

describe.each([
  ['HAProxy', () => haproxy.url],
  ['nginx', () => nginx.url],
])('behind %s', (_, front) => {
  it('every path for clients that Turnout has reaches it', async () => {
    const { body } = await call<{ paths: Record<string, Record<string, unknown>> }>(
      `${node.url}/openapi.json`,
    );
    const routes = Object.entries(body.paths).filter(([path]) => /^\/v\d\/realtime\//.test(path));
    expect(routes.length).toBeGreaterThanOrEqual(5);
    for (const [path, methods] of routes)
      for (const method of Object.keys(methods)) {
        const answer = await call(`${front()}${path}?x=1`, { method: method.toUpperCase() });
        expect(answer.headers['x-request-id'], `${method} ${path}`).toBeDefined();
      }
    await call(`${front()}/api/updates?since=1`);
    expect(behindNode.asked.at(-1)).toBe('/api/updates?since=1');
  });

  it('no spelling leads to what stays inside', async () => {
    for (const way of outside)
      for (const path of inside)
        for (const method of ['GET', 'PUT']) {
          const said = await exchangeRaw(
            front(),
            `${method} ${way}${path}${method === 'PUT' ? '/percent' : ''} HTTP/1.1\r\nHost: old\r\nConnection: close\r\n` +
              `Authorization: Bearer ${testAdminToken}\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n` +
              '{"percent":99,"reason":"none"}',
          );
          // A page of the site's, or a refusal of the proxy's: a node, which would refuse too, isn't asked.
          expect(said, `${method} ${way}${path}`).toMatch(/^HTTP\/1\.[01] (?:200[^]*answer to|40[034]) /);
          expect(said, `${method} ${way}${path}`).not.toMatch(
            /turnout_|killed|"status":"ok"|"openapi"|x-request-id/i,
          );
        }
    expect(await percent()).toBe(7);
  });

  it.each(['/api/updates', '/v2/realtime/publish'])('a request for %s is not two', async (path) => {
    for (const [name, bytes] of smuggledForms) {
      await smuggle(front(), bytes.replace('/api/x', path));
      // Where the proxy itself reads two, it has looked at both, and the second is the site's.
      expect(behindNode.asked, name).not.toContain('/api/smuggled');
    }
  });
});
