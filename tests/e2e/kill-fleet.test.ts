/** The kill switch of several nodes, with Redis there, away, late, emptied and restored: whoever was told obeys at once. */
import { describe, expect } from 'vitest';
import { setPercent } from '../../src/rollout/rules/transitions.ts';
import { itWithFleet, type RolloutFleet } from '../support/rollout-fleet.ts';
import type { RolloutNode } from '../support/rollout-node.ts';
import { until } from '../support/until.ts';

const it = itWithFleet(true);
const by = { by: 'token' as const, who: 'acme/sre', reason: 'smoke' };
const alice = { org: 'acme', sub: 'alice' };
const env = { REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '100' };

type Pair = readonly [RolloutNode, RolloutNode];

/** Two nodes that know of each other. */
async function pairOf(fleet: RolloutFleet): Promise<Pair> {
  const pair = await fleet.pair(env);
  for (const { rollout } of pair)
    await until(
      async () => Object.keys((await rollout.fleet.acknowledged(1, 0)).acks).length,
      'the nodes to know of each other',
      2,
    );
  return pair;
}

const reason = ({ rollout }: RolloutNode): string => rollout.decider.decide(alice).reason;
const reasons = (pair: Pair): string[] => pair.map(reason);
const all = (pair: Pair, what: string) => () => reasons(pair).every((one) => one === what);

/** Each node has read the rules again, twice: what a read makes one of them write is read by the other. */
async function readAgain(pair: Pair): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1)
    await Promise.all(
      pair.map(({ rollout: { store } }) =>
        // A Redis that has just come back may fail one more.
        until(async () => {
          await store.refresh();
          return store.health().isUp;
        }, 'a read of the rules'),
      ),
    );
}

it.concurrent('a kill told to one node is obeyed by both when it is answered, and so is unkill', async ({
  fleet,
}) => {
  const pair = await pairOf(fleet);
  const [a, b] = pair;
  const answer = await a.rollout.control.kill(by);
  expect(answer).toMatchObject({ written: true, laggards: [], acks: { 'node-b': answer.version } });
  expect(reasons(pair)).toEqual(['kill-switch', 'kill-switch']);
  expect(b.rollout.latch.killIds()).toEqual(a.rollout.latch.killIds());
  await b.rollout.control.unkill(by);
  expect(reasons(pair)).toEqual(['rollout', 'rollout']);
  expect([...a.rollout.latch.killIds(), ...b.rollout.latch.killIds()]).toEqual([]);
});

describe.concurrent('with Redis away', () => {
  it('the node that was told obeys at once; the other when Redis is back; unkill alone clears it [P8]', async ({
    fleet,
  }) => {
    const pair = await pairOf(fleet);
    const [a, b] = pair;
    await fleet.redis.kill();
    const killing = a.rollout.control.kill(by);
    expect(reasons(pair)).toEqual(['kill-switch', 'rollout']);
    expect(await killing).toMatchObject({ written: false, laggards: ['node-b'] });
    await expect(a.rollout.control.unkill(by)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(reason(a)).toBe('kill-switch');
    await fleet.redis.restart();
    await until(all(pair, 'kill-switch'), 'node-b to hear of it');
    await readAgain(pair);
    expect(reasons(pair)).toEqual(['kill-switch', 'kill-switch']);
    await b.rollout.control.unkill(by);
    // Its subscription comes back at a moment of its own: it may be a laggard of this answer.
    await until(all(pair, 'rollout'), 'both to be free');
    await readAgain(pair);
    expect(reasons(pair)).toEqual(['rollout', 'rollout']);
  });

  it('each node obeys when it is told itself, and one unkill ends both kills', async ({ fleet }) => {
    const pair = await pairOf(fleet);
    const [a] = pair;
    await fleet.redis.kill();
    await Promise.all(pair.map((node) => node.rollout.control.kill(by)));
    expect(reasons(pair)).toEqual(['kill-switch', 'kill-switch']);
    await fleet.redis.restart();
    await until(() => a.rollout.store.current()?.kills.length, 'both kills in the rules', 2);
    await a.rollout.control.unkill(by);
    await until(all(pair, 'rollout'), 'both to be free');
  });

  it('emptied meanwhile: the rules that come back are killed', async ({ fleet }) => {
    const pair = await pairOf(fleet);
    const [a, b] = pair;
    await fleet.redis.kill();
    await a.rollout.control.kill(by);
    await fleet.redis.restartEmpty();
    await until(() => all(pair, 'kill-switch')() && b.rollout.store.health().isUp, 'both killed');
    const stored = JSON.parse(
      (await fleet.redis.client.hget('turnout:{!rules}:document', 'json')) ?? '{}',
    ) as object;
    expect(stored).toMatchObject({ kills: [{ who: 'acme/sre', reason: 'smoke' }] });
  });
});

it.concurrent('a frozen Redis does not keep a kill from its answer', async ({ fleet }) => {
  const pair = await pairOf(fleet);
  const [a] = pair;
  fleet.redis.freeze();
  // Nothing thaws it before the answer is there.
  const answer = await a.rollout.control.kill(by);
  expect(answer).toMatchObject({ written: false });
  expect(reason(a)).toBe('kill-switch');
  fleet.redis.thaw();
  await until(all(pair, 'kill-switch'), 'the other');
});

describe.concurrent('a node that returns late', () => {
  it('does not kill again what was unkilled while it was away', async ({ fleet }) => {
    const pair = await pairOf(fleet);
    const [a, b] = pair;
    await a.rollout.control.kill(by);
    expect(reasons(pair)).toEqual(['kill-switch', 'kill-switch']);
    a.link.cut();
    await b.rollout.control.unkill(by);
    expect(reasons(pair)).toEqual(['kill-switch', 'rollout']);
    a.link.mend();
    await until(all(pair, 'rollout'), 'node-a to hear of the unkill');
    await readAgain(pair);
    expect(reasons(pair)).toEqual(['rollout', 'rollout']);
  });

  it('nor a kill whose answer it never got, though it was written', async ({ fleet }) => {
    const pair = await pairOf(fleet);
    const [a, b] = pair;
    // What the node holds after its write went through and the answer was lost: a latch that the rules were never seen with.
    await a.rollout.control.kill(by);
    const [lost] = a.rollout.store.current()?.kills ?? [];
    await b.rollout.control.unkill(by);
    if (lost === undefined) throw new Error('no kill stands');
    a.rollout.latch.pull(lost);
    expect(reasons(pair)).toEqual(['kill-switch', 'rollout']);
    await until(all(pair, 'rollout'), 'node-a to learn that it was ended');
    expect(b.rollout.store.current()?.kills).toEqual([]);
  });

  it('takes its own new kill along', async ({ fleet }) => {
    const pair = await pairOf(fleet);
    const [a, b] = pair;
    a.link.cut();
    await a.rollout.control.kill(by);
    await b.rollout.control.change(setPercent(99.5), by);
    expect(reason(b)).not.toBe('kill-switch');
    a.link.mend();
    await until(all(pair, 'kill-switch'), 'node-b to hear of it');
    expect(b.rollout.store.current()?.kills).toHaveLength(1);
  });
});

it.concurrent('rules restored from an older backup bring neither the old percentage nor an ended kill back', async ({
  fleet,
}) => {
  const pair = await pairOf(fleet);
  const [a, b] = pair;
  await a.rollout.control.kill(by);
  await fleet.redis.snapshot();
  await a.rollout.control.change(setPercent(0), by);
  const { version } = await b.rollout.control.unkill(by);
  await fleet.redis.restartRewound();
  await until(
    () => fleet.redis.client.hget('turnout:{!rules}:document', 'version'),
    'the newer rules to be put back',
    (seen) => seen === String(version),
  );
  await readAgain(pair);
  expect(reasons(pair)).toEqual(['percent', 'percent']);
  expect(a.rollout.latch.isSet).toBe(false);
});

it.concurrent('two kills written at the same moment both stand until one unkill', async ({ fleet }) => {
  const pair = await pairOf(fleet);
  const [a] = pair;
  await Promise.all(pair.map((node) => node.rollout.control.kill(by)));
  await until(() => pair.every((node) => node.rollout.store.current()?.kills.length === 2), 'two kills');
  await a.rollout.control.unkill(by);
  expect(reasons(pair)).toEqual(['rollout', 'rollout']);
});
