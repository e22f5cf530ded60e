import { createRequire } from 'node:module';
import { afterEach, describe, expect, it } from 'vitest';
import { Unleash } from 'unleash-client';
import { systemClock } from '../../../src/clock.ts';
import { Evaluator, openUnleash, RulesRepository } from '../../../src/rollout/decide/evaluator.ts';
import {
  autoreconnectFlag,
  type Feature,
  readFeatureFile,
  transportFlag,
  withPercent,
} from '../../../src/rollout/rules/features.ts';
import { bucketOf, murmur32 } from '../../../src/rollout/rules/user.ts';

const flagAt = (percent: number): Feature[] =>
  readFeatureFile().map((flag) =>
    flag.name === transportFlag ? withPercent({ ...flag, enabled: true }, percent) : flag,
  );
const quiet = (): void => {};

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

function evaluatorAt(percent: number): Evaluator {
  const evaluator = new Evaluator(() => systemClock.random(), quiet);
  opened.push(evaluator);
  evaluator.apply(flagAt(percent));
  return evaluator;
}

describe('shares', () => {
  const users = 200_000;
  it.each([0.1, 1, 2.25, 10, 50])(
    'gives %s percent of 200,000 users the new transport, within 3σ',
    (percent) => {
      const evaluator = evaluatorAt(percent);
      let inside = 0;
      for (let user = 0; user < users; user += 1)
        if (evaluator.ask(transportFlag, { org: 'acme', sub: `user-${user}` }).isIn) inside += 1;
      const p = percent / 100;
      const sigma = Math.sqrt(users * p * (1 - p));
      expect(Math.abs(inside - users * p)).toBeLessThan(3 * sigma);
    },
  );

  it('takes nobody back while the percentage grows', () => {
    const steps = [0, 0.01, 0.1, 1, 2.25, 10, 10.01, 50, 100];
    const evaluators = steps.map(evaluatorAt);
    for (let user = 0; user < 5000; user += 1) {
      const answers = evaluators.map((one) => one.ask(transportFlag, { org: 'acme', sub: `u${user}` }).isIn);
      expect(answers).toEqual([...answers].toSorted((a, b) => Number(a) - Number(b)));
      expect(answers[0]).toBe(false);
      expect(answers.at(-1)).toBe(true);
    }
  });

  it('puts a user in exactly when the bucket is below the percentage', () => {
    for (const percent of [0, 0.07, 0.29, 1.15, 33.33, 99.99, 100]) {
      const evaluator = evaluatorAt(percent);
      for (let user = 0; user < 2000; user += 1) {
        const { isIn, bucket } = evaluator.ask(transportFlag, { org: 'o', sub: `u${user}` });
        expect(isIn).toBe(bucket < Math.round(percent * 100));
      }
    }
  });

  it('cuts two flags differently', () => {
    const evaluator = evaluatorAt(50);
    let same = 0;
    for (let user = 0; user < 2000; user += 1) {
      const who = { org: 'acme', sub: `u${user}` };
      const one = evaluator.ask(transportFlag, who).bucket < 5000;
      if (one === evaluator.ask(autoreconnectFlag, who).bucket < 5000) same += 1;
    }
    expect(same).toBeGreaterThan(850);
    expect(same).toBeLessThan(1150);
  });
});

it('agrees with stock Unleash at every whole percent', () => {
  for (let percent = 0; percent <= 100; percent += 1) {
    const repository = new RulesRepository();
    const stock = new Unleash({
      appName: 'stock',
      url: 'http://unleash.invalid/',
      repository,
      disableMetrics: true,
      disableAutoStart: true,
      skipInstanceCountWarning: true,
    });
    repository.replace(flagAt(percent) as never[]);
    const ours = evaluatorAt(percent);
    for (let user = 0; user < 500; user += 1) {
      const who = { org: 'acme', sub: `user-${user}` };
      expect(ours.ask(transportFlag, who).isIn).toBe(
        stock.isEnabled(transportFlag, { userId: `acme/user-${user}` }),
      );
    }
    stock.destroy();
  }
});

it("hashes as the SDK's own library does", () => {
  const sdk = createRequire(import.meta.url).resolve('unleash-client');
  const theirs = createRequire(sdk)('murmurhash3js') as {
    x86: { hash32(text: string, seed: number): number };
  };
  const texts = [
    '',
    'a',
    'ab',
    'abc',
    'abcd',
    'realtime-streaming-v2:acme/alice',
    'ümläut→€',
    'x'.repeat(127),
  ];
  for (const text of texts)
    for (const seed of [0, 1, 86_028_157]) expect(murmur32(text, seed)).toBe(theirs.x86.hash32(text, seed));
});

it('never moves a user to another bucket: these were given out', () => {
  expect(bucketOf('realtime-streaming-v2', 'acme/alice')).toBe(55);
  expect(bucketOf('realtime-streaming-v2', 'acme/bob')).toBe(8735);
  expect(bucketOf('realtime-streaming-v2', 'globex/alice')).toBe(3793);
  expect(bucketOf('ws-autoreconnect', 'acme/alice')).toBe(6886);
});

it('lets nobody in by nonsense: a percentage that is no number, a flag that is not there', () => {
  const evaluator = evaluatorAt(100);
  evaluator.apply(
    flagAt(100).map((flag) => ({
      ...flag,
      strategies: flag.strategies.map((one) => ({
        ...one,
        parameters: { ...one.parameters, rollout: 'abc' },
      })),
    })),
  );
  expect(evaluator.ask(transportFlag, { org: 'acme', sub: 'alice' }).isIn).toBe(false);
  expect(evaluator.ask('__proto__', { org: 'acme', sub: 'alice' }).isIn).toBe(false);
});

it('tells of a toggle that it cannot read once, not with every evaluation', () => {
  const said: string[] = [];
  const repository = new RulesRepository();
  const unleash = openUnleash(
    repository,
    () => 0,
    (_fields, message) => said.push(message),
  );
  repository.replace([{ name: 'broken', enabled: true, strategies: 'none' as never }]);
  for (let user = 0; user < 100; user += 1) unleash.isEnabled('broken', { userId: `u${user}` });
  unleash.destroy();
  expect(said).toHaveLength(1);
});
