/** Rules that have not changed cost an idle fleet next to nothing, and those that have are still noticed by every read. */
import { expect } from 'vitest';
import { rolloutPercent } from '../../src/rollout/rules/rules.ts';
import { setList, setPercent } from '../../src/rollout/rules/transitions.ts';
import { itWithFleet, type RolloutFleet } from '../support/rollout-fleet.ts';
import { deaf, openRolloutNode, type RolloutNode, unprompted } from '../support/rollout-node.ts';

const it = itWithFleet(false);
const by = { by: 'token' as const, who: 'acme/sre', reason: 'test' };
const names = Array.from({ length: 10_000 }, (_, at) => `acme/user-${at}-of-a-long-list`);

/** How a node of an older release reads. */
const olderRead = "return redis.call('HGET', KEYS[1], 'json') or ''";

/** Knows what it reads, and reads when it is asked to. */
async function openReader(fleet: RolloutFleet): Promise<RolloutNode> {
  const node = await openRolloutNode('node-a', fleet.redis.port, {}, deaf, unprompted);
  fleet.nodes.push(node);
  return node;
}

async function sentBytes({ redis }: RolloutFleet): Promise<number> {
  const stats = await redis.client.info('stats');
  return Number(/total_net_output_bytes:(\d+)/.exec(stats)?.[1]);
}

it('a document of 10,000 names is not sent again to a node that holds it', async ({ fleet }) => {
  const { rollout } = await openReader(fleet);
  const { version } = await rollout.store.change(setList('allowlist', names), by);
  const documentBytes = JSON.stringify(rollout.store.current()).length;
  const before = await sentBytes(fleet);
  for (let reads = 0; reads < 4; reads += 1) await rollout.store.refresh();
  const bytes = (await sentBytes(fleet)) - before;
  expect(documentBytes).toBeGreaterThan(300_000);
  expect(bytes).toBeLessThan(documentBytes / 4);
  expect(rollout.store.current()?.version).toBe(version);
  expect(rollout.store.health()).toMatchObject({ isUp: true });
});

it('the next read brings what another node wrote, and finds an emptied Redis', async ({ fleet }) => {
  const reader = await openReader(fleet);
  const writer = await fleet.open('node-b', {});
  await writer.rollout.store.change(setPercent(40), by);
  await reader.rollout.store.refresh();
  const read = reader.rollout.store.current();
  expect(read && rolloutPercent(read)).toBe(40);
  await writer.close();
  await fleet.redis.client.flushall();
  await reader.rollout.store.refresh();
  expect(await fleet.redis.client.hget('turnout:{!rules}:document', 'version')).toBe(String(read?.version));
});

it('a node of an older release, which asks without a version, is still told the document', async ({
  fleet,
}) => {
  const { rollout } = await openReader(fleet);
  await rollout.store.change(setPercent(30), by);
  const json = await fleet.redis.client.eval(olderRead, 1, 'turnout:{!rules}:document');
  expect(JSON.parse(String(json))).toMatchObject({ version: rollout.store.current()?.version });
});
