/** Every case of Unleash's client specification, through our repository and our strategy. */
import { createRequire } from 'node:module';
import { afterAll, describe, expect, it } from 'vitest';
import type { Context, Unleash } from 'unleash-client';
import { systemClock } from '../../src/clock.ts';
import { openUnleash, RulesRepository } from '../../src/rollout/decide/evaluator.ts';

type Features = Parameters<RulesRepository['replace']>[0];
type Segments = NonNullable<Parameters<RulesRepository['replace']>[1]>;

interface DeltaEvent {
  readonly type: string;
  readonly feature?: Features[number];
  readonly featureName?: string;
  readonly segment?: Segments[number];
  readonly segmentId?: number;
  readonly features?: Features;
  readonly segments?: Segments;
}

interface Specification {
  readonly name: string;
  readonly state: { features?: Features; segments?: Segments; events?: readonly DeltaEvent[] };
  readonly tests?: readonly Case<boolean>[];
  readonly variantTests?: readonly Case<object>[];
}

interface Case<Expected> {
  readonly description: string;
  readonly context: Context;
  readonly toggleName: string;
  readonly expectedResult: Expected;
}

const require = createRequire(import.meta.url);
const folder = '@unleash/client-specification/specifications';
const names = require(`${folder}/index.json`) as readonly string[];
const specifications = names.map((name) => require(`${folder}/${name}`) as Specification);

/** The state after the events of Unleash's delta API. */
function stateOf({ state }: Specification): [Features, Segments] {
  const features = new Map((state.features ?? []).map((one) => [one.name, one]));
  const segments = new Map((state.segments ?? []).map((one) => [one.id, one]));
  for (const event of state.events ?? []) {
    for (const one of event.features ?? []) features.set(one.name, one);
    for (const one of event.segments ?? []) segments.set(one.id, one);
    if (event.feature !== undefined) features.set(event.feature.name, event.feature);
    if (event.segment !== undefined) segments.set(event.segment.id, event.segment);
    if (event.featureName !== undefined) features.delete(event.featureName);
    if (event.type === 'segment-removed' && event.segmentId !== undefined) segments.delete(event.segmentId);
  }
  return [[...features.values()], [...segments.values()]];
}

const opened: Unleash[] = [];
afterAll(() => {
  for (const unleash of opened) unleash.destroy();
});

describe.each(specifications)('$name', (specification) => {
  const repository = new RulesRepository();
  const unleash = openUnleash(
    repository,
    () => systemClock.random(),
    () => {},
  );
  opened.push(unleash);
  repository.replace(...stateOf(specification));

  it.each([...(specification.tests ?? [])])('$description', ({ toggleName, context, expectedResult }) => {
    expect(unleash.isEnabled(toggleName, context, false)).toBe(expectedResult);
  });

  it.each([...(specification.variantTests ?? [])])(
    '$description',
    ({ toggleName, context, expectedResult }) => {
      expect(unleash.getVariant(toggleName, context)).toMatchObject(expectedResult);
    },
  );
});

it('is the whole specification: 279 cases', () => {
  const counts = specifications.map((one) => (one.tests?.length ?? 0) + (one.variantTests?.length ?? 0));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(279);
});
