/** Services that are not for every publisher, on every way in: a bridge's, and Turnout's own. */
import { describe, expect, it } from 'vitest';
import { ServiceClaim } from '../../src/auth/identity.ts';
import { checkProfile } from '../../src/legacy/profile/problems.ts';
import { bridgeProfile, streamSource } from '../support/bridge-profiles.ts';
import { edgeApp } from '../support/edge-app.ts';
import type { TokenClaims } from '../support/tokens.ts';

const producer: TokenClaims = { sub: 'backend', roles: ['producer'], publish: ['*'], orgs: ['*'] };
const user: TokenClaims = { publish: ['*', 'turnout/*', 'turnout/hole'] };
const event = { type: 'note', payload: {}, id: '7' };
const bridged = new Map([['updates', 'acme']]);

const ways: [string, string, TokenClaims][] = [
  ['a backend', '/v1/publish', producer],
  ['an end user', '/v2/realtime/publish', user],
];

describe.each(ways)('%s', (_, path, claims) => {
  it.each(['updates', 'turnout/hole', 'turnout', 'turnout/anything'])(
    'publishes nothing to %s',
    async (service) => {
      const edge = edgeApp({ bridged });
      const bodies = [
        { ...event, service },
        { ...event, service, ephemeral: true },
        {
          events: [
            { ...event, service: 'chat' },
            { ...event, id: '8', service },
          ],
        },
      ];
      for (const body of bodies)
        expect(await edge.post(path, body, claims)).toMatchObject({
          status: 403,
          body: { error: { code: 'service_reserved', retry: 'never' } },
        });
      const page = await edge.log.read('acme', { at: 'earliest' }, { maxEvents: 10, maxBytes: 1e6 });
      expect(page).toMatchObject({ kind: 'page', entries: [] });
      expect(await edge.metrics.registry.metrics()).toContain('code="service_reserved"} 3');
    },
  );

  it('publishes to a service whose name only begins like one of those', async () => {
    const edge = edgeApp({ bridged });
    for (const service of ['updates/1', 'turnouts', 'updates2'])
      expect((await edge.post(path, { ...event, service }, claims)).status).toBe(200);
  });
});

it('publishes nothing to a bridged service over the stream', async () => {
  const edge = edgeApp({ bridged });
  const identity = await edge.identity(user);
  for (const service of ['updates', 'turnout/hole'])
    await expect(edge.publisher.publishOne(identity, 'user', { ...event, service })).rejects.toMatchObject({
      code: 'service_reserved',
    });
});

it("allows no token to read Turnout's own services, whatever it claims", () => {
  for (const patterns of [['*'], ['turnout/*'], ['turnout/hole', 'turnout'], ['t*']])
    for (const service of ['turnout', 'turnout/hole'])
      expect(new ServiceClaim(patterns).allows(service), `${patterns.join()} ${service}`).toBe(false);
});

it("takes no profile that serves or bridges one of Turnout's own services", () => {
  const profile = bridgeProfile('old', streamSource('redis://127.0.0.1:9'));
  const services = { fixed: ['updates', 'turnout/hole'] };
  const { problems } = checkProfile({ ...profile, request: { ...profile.request, services } });
  expect(problems).toMatchObject([{ level: 'error', path: ['request', 'services', 'fixed', 1] }]);
});
