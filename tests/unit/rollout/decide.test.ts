import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { transportSchema } from '../../../schema/frames.ts';
import { cohortSchema, reasonSchema } from '../../../schema/http.ts';
import { decide } from '../../../src/rollout/decide/decide.ts';
import { readFeatureFile, transportFlag, withPercent } from '../../../src/rollout/rules/features.ts';
import type { Rules } from '../../../src/rollout/rules/rules.ts';

const ruleCaseSchema = z.strictObject({
  enabled: z.boolean().default(false),
  percent: z.number().default(0),
  killed: z.boolean().default(false),
  allowlist: z.array(z.string()).default([]),
  denylist: z.array(z.string()).default([]),
  holdback: z.number().default(0),
});

const caseSchema = z.strictObject({
  name: z.string(),
  rules: ruleCaseSchema.nullable(),
  supports: z.array(z.string()).default(['websocket', 'long-poll']),
  override: transportSchema.optional(),
  allowsOverride: z.boolean().default(false),
  capped: z.boolean().default(false),
  latched: z.boolean().default(false),
  lost: z.boolean().default(false),
  bucket: z.int().default(0),
  expect: z.strictObject({ transport: transportSchema, cohort: cohortSchema, reason: reasonSchema }),
});

const version = 18;

function rulesOf(given: z.infer<typeof ruleCaseSchema>): Rules {
  const features = readFeatureFile().map((flag) =>
    flag.name === transportFlag ? withPercent({ ...flag, enabled: given.enabled }, given.percent) : flag,
  );
  const kills = given.killed ? [{ id: 'k', at: 0, who: 'w', reason: 'r' }] : [];
  const { allowlist, denylist, holdback } = given;
  const stamped = { version, nonce: 'n', changedAt: 0, origin: 'operator' as const };
  return {
    ...stamped,
    features,
    allowlist,
    denylist,
    holdback,
    kills,
    unkilled: [],
    pauses: [],
    openChanges: [],
  };
}

const folder = new URL('../../../flags/cases/', import.meta.url);
const files = readdirSync(folder).map(
  (name) =>
    [name, z.array(caseSchema).parse(JSON.parse(readFileSync(new URL(name, folder), 'utf8')))] as const,
);

describe.each(files)('flags/cases/%s', (_file, cases) => {
  it.each(cases)('$name', (one) => {
    const rules = one.rules === null ? undefined : rulesOf(one.rules);
    const decision = decide({
      rules,
      user: { org: 'acme', sub: 'alice' },
      asked: { supports: one.supports, override: one.override },
      node: {
        isCapped: one.capped,
        isLatched: one.latched,
        allowsOverride: one.allowsOverride,
        areRulesLost: one.lost,
      },
      rollout: { isIn: one.bucket < (one.rules?.percent ?? 0) * 100, bucket: one.bucket },
    });
    expect(decision).toEqual({
      ...one.expect,
      assignment: rules === undefined ? 0 : version,
      bucket: one.bucket,
    });
  });
});

it('has a case for every reason', () => {
  const covered = new Set(files.flatMap(([, cases]) => cases.map((one) => one.expect.reason)));
  expect([...covered].toSorted()).toEqual([...reasonSchema.options].toSorted());
});
