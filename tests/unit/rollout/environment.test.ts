import { afterEach, describe, expect, it } from 'vitest';
import { autoreconnectFlag, readFeatureFile } from '../../../src/rollout/rules/features.ts';
import { isFlagOn, rolloutPercent } from '../../../src/rollout/rules/rules.ts';
import { stage, type Stage } from './support.ts';

const stages: Stage[] = [];
afterEach(async () => {
  for (const one of stages.splice(0)) await one.rollout.close();
});

function started(env: Record<string, string>): Stage {
  const one = stage(env);
  stages.push(one);
  return one;
}

const alice = { org: 'acme', sub: 'alice' };

describe('the environment', () => {
  it('absent: the flag is off at 0 %, and the node is not capped', async () => {
    const { rollout } = started({});
    expect(rollout.decider.decide(alice).reason).toBe('flag-off');
    expect((await rollout.fleet.acknowledged(0, 0)).capped).toEqual([]);
  });

  it('a percentage alone does not turn the flag on', () => {
    const { rollout } = started({ REALTIME_ROLLOUT_PERCENT: '100' });
    expect(rollout.decider.decide(alice).reason).toBe('flag-off');
  });

  it('writes the first rules: flag, percentage, whitelist, autoreconnect', () => {
    const { rollout } = started({
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '12.25',
      REALTIME_WHITELIST: 'alice, globex/bob, alice',
      WS_AUTORECONNECT: '100',
    });
    const rules = rollout.store.current();
    expect(rules && isFlagOn(rules)).toBe(true);
    expect(rules && rolloutPercent(rules)).toBe(12.25);
    expect(rules?.allowlist).toEqual(['alice', 'globex/bob']);
    expect(rollout.decider.decide(alice).reason).toBe('allowlist');
    expect(rollout.decider.autoreconnect(alice)).toBe(true);
  });

  it.each([
    ['true', true],
    ['false', false],
    [undefined, false],
  ])('WS_AUTORECONNECT %s means %s', (value, expected) => {
    const { rollout } = started(value === undefined ? {} : { WS_AUTORECONNECT: value });
    expect(rollout.decider.autoreconnect(alice)).toBe(expected);
  });

  it.each([
    [{ REALTIME_STREAMING_V2: 'false' }, ['REALTIME_STREAMING_V2']],
    [{ REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '0' }, ['REALTIME_ROLLOUT_PERCENT']],
    [
      { REALTIME_STREAMING_V2: 'false', REALTIME_ROLLOUT_PERCENT: '0' },
      ['REALTIME_STREAMING_V2', 'REALTIME_ROLLOUT_PERCENT'],
    ],
  ])('%o caps the node, even for the whitelist', async (env, variables) => {
    const { rollout, logged } = started({ ...env, REALTIME_WHITELIST: 'alice' });
    expect(rollout.decider.decide(alice).reason).toBe('node-capped');
    expect((await rollout.fleet.acknowledged(0, 0)).capped).toEqual([{ node: 'node-a', variables }]);
    expect(logged.join()).toContain('long-poll only');
  });

  it('leaves out whitelist entries that name nobody, and says so', () => {
    const { rollout, logged } = started({ REALTIME_WHITELIST: 'alice,a b,/x,a/b/c' });
    expect(rollout.store.current()?.allowlist).toEqual(['alice']);
    expect(logged.join()).toContain('REALTIME_WHITELIST');
  });

  it('numbers the first rules by the Unix time in seconds, and tells the audit trail', async () => {
    const { rollout, clock } = started({});
    expect(rollout.decider.assignment).toBe(Math.floor(clock.now() / 1000));
    expect(await rollout.store.audit(10)).toMatchObject([{ who: 'environment', action: 'start' }]);
  });
});

it('flags/feature.json: sticky by user, with a group of its own, at whole or fine percents', () => {
  const features = readFeatureFile();
  expect(features.map((one) => one.name)).toEqual(
    expect.arrayContaining(['realtime-streaming-v2', autoreconnectFlag, 'enable-re-agent', 're-tenure']),
  );
  for (const { name, strategies } of features)
    expect(strategies).toMatchObject([
      { name: 'flexibleRollout', parameters: { groupId: name, stickiness: 'userId' } },
    ]);
});
