/** Roles of the admin API come from a claim that was named for them, never from what an issuer calls its own people. */
import { createPublicKey } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { settingsFindings } from '../../src/cli/doctor/settings.ts';
import { systemClock } from '../../src/clock.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { call } from '../support/http-client.ts';
import { keyPair, makeToken, secretKey, type SigningKey, testSecret } from '../support/tokens.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

const ends: (() => unknown)[] = [];
afterEach(() => Promise.all(ends.splice(0).map((end) => end())));

const pair = keyPair('ES256');
const allRoles = ['producer', 'viewer', 'operator', 'admin'];

async function rolesOf(env: Environment, claims: object, key: SigningKey = pair): Promise<string[]> {
  const auth = createAuthenticator(readConfig(env), systemClock);
  const { roles } = await auth.verifyToken(await makeToken(claims as never, { key }));
  return [...roles].toSorted();
}

async function serveKeySet(): Promise<string> {
  const keys = [{ ...createPublicKey(pair.publicPem).export({ format: 'jwk' }), alg: 'ES256' }];
  const server = createServer((_, response) => void response.end(JSON.stringify({ keys })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const publicKeys: readonly [string, () => Environment | Promise<Environment>][] = [
  ['a public key', () => ({ TURNOUT_JWT_PUBLIC_KEY: pair.publicPem })],
  ['a key set', async () => ({ TURNOUT_JWKS_URL: await serveKeySet() })],
];

describe.each(publicKeys)('with %s', (_what, settings) => {
  it("an issuer's own roles at the token's root leave nothing but producer", async () => {
    expect(await rolesOf(await settings(), { roles: allRoles })).toEqual(['producer']);
    const orgs = { roles: ['admin'], orgs: ['*'] };
    expect(await rolesOf(await settings(), orgs)).toEqual([]);
  });

  it('roles under TURNOUT_CLAIM_GRANTS count, and those at the root do not', async () => {
    const env = { ...(await settings()), TURNOUT_CLAIM_GRANTS: 'https://turnout.example/grants' };
    const grants = { 'https://turnout.example/grants': { roles: ['viewer'] }, roles: ['admin'] };
    expect(await rolesOf(env, grants)).toEqual(['viewer']);
    expect(await rolesOf(env, { roles: allRoles })).toEqual([]);
  });

  it('an operator may say that the root is the place', async () => {
    const env = { ...(await settings()), TURNOUT_CLAIM_GRANTS: '$' };
    expect(await rolesOf(env, { roles: allRoles })).toEqual(allRoles.toSorted());
  });
});

it("with a secret of Turnout's own roles at the root count", async () => {
  const env = { TURNOUT_JWT_SECRET: testSecret };
  expect(await rolesOf(env, { roles: allRoles }, secretKey())).toEqual(allRoles.toSorted());
});

it('an auth server names a user and an org, and grants nothing whatever else it says', async () => {
  const whoami = await WhoamiServer.start();
  ends.push(() => whoami.close());
  const grants = { roles: allRoles, orgs: ['*'], publish: ['*'], services: ['finance'], exp: 4e9 };
  const person = { user: 'ann', org: 'acme', ...grants, turnout: grants };
  whoami.people.set('Bearer opaque', person);
  const auth = createAuthenticator(
    readConfig({ TURNOUT_AUTH_URL: whoami.url, TURNOUT_CLAIM_GRANTS: 'turnout' }),
    systemClock,
  );
  ends.push(() => auth.close());
  const identity = await auth.verifyToken('opaque');
  expect([...identity.roles]).toEqual([]);
  expect(identity.producerOrgs).toEqual(['acme']);
  expect(identity.publishes.patterns).toEqual([]);
  expect(identity.reads.patterns).toEqual(['*']);
  expect(identity.expiresAtMs).toBeLessThan(systemClock.now() + 60_000);
});

describe('a node with a public key and no place for grants', () => {
  const env = { TURNOUT_JWT_PUBLIC_KEY: pair.publicPem, TURNOUT_PORT: '0' };

  it('lets its issuer’s admin change nothing, and says at its start why', async () => {
    const lines: string[] = [];
    const logger = createLogger('info', { write: (line) => void lines.push(line) });
    const gateway = await openGateway({ config: readConfig(env), clock: systemClock, logger });
    ends.push(() => gateway.drain());
    const token = await makeToken({ roles: ['admin'] }, { key: pair });
    const ask = (path: string, body?: object) =>
      call(`${gateway.url}/admin/v1${path}`, { token, ...(body && { method: 'PUT', body }) });
    expect((await ask('/rollout')).status).toBe(403);
    expect((await ask('/rollout/percent', { percent: 50, reason: 'mine' })).status).toBe(403);
    expect((await ask('/rollout/denylist', { users: ['acme/ben'], reason: 'mine' })).status).toBe(403);
    const told = lines.filter((line) => line.includes('TURNOUT_CLAIM_GRANTS'));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('tokens give no role viewer, operator or admin');
  });

  it('is told so by doctor: as a warning where nothing else opens the admin API', () => {
    const found = (more: Environment) =>
      settingsFindings({ ...env, ...more }, systemClock).findings.filter(
        ({ about }) => about === 'admin roles',
      );
    expect(found({})).toMatchObject([{ level: 'warning' }]);
    expect(found({ TURNOUT_ADMIN_TOKEN: 'an-admin-token-of-tests' })).toMatchObject([{ level: 'ok' }]);
    expect(found({ TURNOUT_CLAIM_GRANTS: 'turnout' })).toEqual([]);
  });
});
