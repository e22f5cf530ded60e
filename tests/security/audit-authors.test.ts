/** Whom the audit trail names: no token can be made whose holder signs like an author that has none. */
import { assert, constantFrom, oneof, property, record, string } from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rolloutBodySchema } from '../../schema/admin.ts';
import { auditBodySchema } from '../../schema/audit.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { killLocalNodes } from '../../src/rollout/kill/local.ts';
import {
  adminTokenHolder,
  byEnvironment,
  byRestore,
  localCaller,
  tokenHolder,
} from '../../src/rollout/rules/author.ts';
import { call } from '../support/http-client.ts';
import { makeToken, testSecret } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const adminToken = 'the-admin-token-of-this-test';

async function openNode(onTestFinished: (end: () => Promise<void>) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-run-'));
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_ADMIN_TOKEN: adminToken,
    TURNOUT_NODE_ID: 'node-a',
    TURNOUT_RUN_DIR: folder,
    TURNOUT_DRAIN_MS: '0',
  });
  const gateway = await openGateway({ config, clock: systemClock, logger: createLogger('silent') });
  onTestFinished(async () => {
    await gateway.drain();
    rmSync(folder, { recursive: true, force: true });
  });
  const ask = (method: string, path: string, token: string, body?: object) =>
    call(`${gateway.url}/admin/v1${path}`, { method, token, ...(body && { body }) });
  return { ask, folder };
}

it('a kill by a token of org `local` and a node’s name differs from a local kill in every place that names it', async ({
  onTestFinished,
}) => {
  const { ask, folder } = await openNode(onTestFinished);
  const forger = await makeToken({ org: 'local', sub: 'node-a', roles: ['operator'] });
  const reason = 'turnout kill --local';
  await ask('POST', '/rollout/kill', forger, { reason });
  await until(async () => (await killLocalNodes({ folder, reason })).length, 'the local kill', 1);
  const { killedBy } = rolloutBodySchema.parse((await ask('GET', '/rollout', adminToken)).body);
  const { entries } = auditBodySchema.parse((await ask('GET', '/audit', adminToken)).body);
  const trail = entries.filter(({ action }) => action === 'kill').toReversed();
  for (const named of [killedBy.rules, trail]) {
    expect(named[0]).toMatchObject({ by: 'token', who: 'local/node-a' });
    expect(named[1]).toMatchObject({ by: 'local', who: 'local:node-a' });
  }
});

it('the holder of the admin token, and the environment, are told from tokens that are called like them', async ({
  onTestFinished,
}) => {
  const { ask } = await openNode(onTestFinished);
  for (const [org, sub] of [
    ['admin-token', 'admin-token'],
    ['environment', 'environment'],
  ] as const)
    await ask('POST', '/rollout/pause', await makeToken({ org, sub, roles: ['operator'] }), { reason: 'r' });
  await ask('POST', '/rollout/resume', adminToken, { reason: 'r' });
  const { entries } = auditBodySchema.parse((await ask('GET', '/audit', adminToken)).body);
  expect(entries.map(({ by, who }) => [by, who])).toEqual([
    ['admin-token', 'admin-token'],
    ['token', 'environment/environment'],
    ['token', 'admin-token/admin-token'],
    ['environment', 'environment'],
  ]);
});

it('no two holders of tokens have one name, nor has one the name of another author, whatever their names hold', () => {
  const name = oneof(constantFrom('local', 'node-a', 'a/b', '%2F', 'local:x', '/'), string({ minLength: 1 }));
  const holder = record({ org: name, sub: name });
  assert(
    property(holder, holder, name, (one, other, nodeId) => {
      const isSame = one.org === other.org && one.sub === other.sub;
      expect(tokenHolder(one).who === tokenHolder(other).who).toBe(isSame);
      for (const { by, who } of [adminTokenHolder, byEnvironment, byRestore, localCaller(nodeId)]) {
        expect(by).not.toBe(tokenHolder(one).by);
        expect(who).not.toBe(tokenHolder(one).who);
      }
    }),
    {
      examples: [
        [{ org: 'a/b', sub: 'c' }, { org: 'a', sub: 'b/c' }, 'n'],
        [{ org: 'a/b', sub: 'c' }, { org: 'a%2Fb', sub: 'c' }, 'n'],
      ],
    },
  );
});
