/** The kill switch of several nodes, with Redis there, away, late, emptied and restored: whoever was told obeys at once. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setPercent } from '../../src/rollout/transitions.ts';
import { RedisServer } from '../support/redis.ts';
import { openRolloutNode, type RolloutNode } from '../support/rollout-node.ts';
import { sleep, until } from '../support/until.ts';

const by = { who: 'acme/sre', reason: 'smoke' };
const alice = { org: 'acme', sub: 'alice' };
const env = { REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '100' };

let redis: RedisServer;
let a: RolloutNode;
let b: RolloutNode;
beforeEach(async () => {
  redis = await RedisServer.start({ appendOnly: true });
  [a, b] = [
    await openRolloutNode('node-a', redis.port, env),
    await openRolloutNode('node-b', redis.port, env),
  ];
  for (const { rollout } of [a, b])
    await until(
      async () => Object.keys((await rollout.store.acknowledged(1, 0)).acks).length === 2,
      'the nodes to know of each other',
    );
});
afterEach(async () => {
  for (const node of [a, b]) await node.close();
  await redis.stop();
});

const reason = ({ rollout }: RolloutNode): string => rollout.decider.decide(alice).reason;
const reasons = (): string[] => [a, b].map(reason);
const all = (what: string) => () => reasons().every((one) => one === what);
/** Longer than the time after which every node reads again. */
const aReadLater = (): Promise<void> => sleep(2300);

it('a kill told to one node is obeyed by both when it is answered, and so is unkill', async () => {
  const answer = await a.rollout.control.kill(by);
  expect(answer).toMatchObject({ written: true, laggards: [], acks: { 'node-b': answer.version } });
  expect(reasons()).toEqual(['kill-switch', 'kill-switch']);
  expect(b.rollout.latch.killIds()).toEqual(a.rollout.latch.killIds());
  await b.rollout.control.unkill(by);
  expect(reasons()).toEqual(['rollout', 'rollout']);
  expect([...a.rollout.latch.killIds(), ...b.rollout.latch.killIds()]).toEqual([]);
});

describe('with Redis away', () => {
  beforeEach(() => redis.kill());

  it('the node that was told obeys at once; the other when Redis is back; unkill alone clears it', async () => {
    const killing = a.rollout.control.kill(by);
    expect(reasons()).toEqual(['kill-switch', 'rollout']);
    expect(await killing).toMatchObject({ written: false, laggards: ['node-b'] });
    await expect(a.rollout.control.unkill(by)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(reason(a)).toBe('kill-switch');
    await redis.restart();
    await until(all('kill-switch'), 'node-b to hear of it');
    await aReadLater();
    expect(reasons()).toEqual(['kill-switch', 'kill-switch']);
    await b.rollout.control.unkill(by);
    expect(reasons()).toEqual(['rollout', 'rollout']);
    await aReadLater();
    expect(reasons()).toEqual(['rollout', 'rollout']);
  });

  it('each node obeys when it is told itself, and one unkill ends both kills', async () => {
    await Promise.all([a, b].map((node) => node.rollout.control.kill(by)));
    expect(reasons()).toEqual(['kill-switch', 'kill-switch']);
    await redis.restart();
    await until(() => a.rollout.store.current()?.kills.length === 2, 'both kills in the rules');
    await a.rollout.control.unkill(by);
    await until(all('rollout'), 'both to be free');
  });

  it('emptied meanwhile: the rules that come back are killed', async () => {
    await a.rollout.control.kill(by);
    await redis.restartEmpty();
    await until(() => all('kill-switch')() && b.rollout.store.health().isUp, 'both killed');
    const stored = JSON.parse(
      (await redis.client.hget('turnout:{!rules}:document', 'json')) ?? '{}',
    ) as object;
    expect(stored).toMatchObject({ kills: [{ who: 'acme/sre', reason: 'smoke' }] });
  });
});

it('a frozen Redis does not keep a kill from its answer', async () => {
  redis.freeze();
  const began = performance.now();
  const answer = await a.rollout.control.kill(by);
  expect(answer).toMatchObject({ written: false });
  expect(performance.now() - began).toBeLessThan(4000);
  expect(reason(a)).toBe('kill-switch');
  redis.thaw();
  await until(all('kill-switch'), 'the other');
});

describe('a node that returns late', () => {
  it('does not kill again what was unkilled while it was away', async () => {
    await a.rollout.control.kill(by);
    expect(reasons()).toEqual(['kill-switch', 'kill-switch']);
    a.link.cut();
    await b.rollout.control.unkill(by);
    expect(reasons()).toEqual(['kill-switch', 'rollout']);
    a.link.mend();
    await until(all('rollout'), 'node-a to hear of the unkill');
    await aReadLater();
    expect(reasons()).toEqual(['rollout', 'rollout']);
  });

  it('nor a kill whose answer it never got, though it was written', async () => {
    // What the node holds after its write went through and the answer was lost: a latch that the rules were never seen with.
    await a.rollout.control.kill(by);
    const [lost] = a.rollout.store.current()?.kills ?? [];
    await b.rollout.control.unkill(by);
    if (lost === undefined) throw new Error('no kill stands');
    a.rollout.latch.pull(lost);
    expect(reasons()).toEqual(['kill-switch', 'rollout']);
    await until(all('rollout'), 'node-a to learn that it was ended');
    expect(b.rollout.store.current()?.kills).toEqual([]);
  });

  it('takes its own new kill along', async () => {
    a.link.cut();
    await a.rollout.control.kill(by);
    await b.rollout.control.change(setPercent(99.5), by);
    expect(reason(b)).not.toBe('kill-switch');
    a.link.mend();
    await until(all('kill-switch'), 'node-b to hear of it');
    expect(b.rollout.store.current()?.kills).toHaveLength(1);
  });
});

it('rules restored from an older backup bring neither the old percentage nor an ended kill back', async () => {
  await a.rollout.control.kill(by);
  await redis.snapshot();
  await a.rollout.control.change(setPercent(0), by);
  const { version } = await b.rollout.control.unkill(by);
  await redis.restartRewound();
  await until(
    async () => (await redis.client.hget('turnout:{!rules}:document', 'version')) === String(version),
    'the newer rules to be put back',
  );
  await aReadLater();
  expect(reasons()).toEqual(['percent', 'percent']);
  expect(a.rollout.latch.isSet).toBe(false);
});

it('two kills written at the same moment both stand until one unkill', async () => {
  await Promise.all([a, b].map((node) => node.rollout.control.kill(by)));
  await until(() => [a, b].every((node) => node.rollout.store.current()?.kills.length === 2), 'two kills');
  await a.rollout.control.unkill(by);
  expect(reasons()).toEqual(['rollout', 'rollout']);
});
