/** HTTP bodies of the admin API (docs/PROTOCOL.md, 12). */
import { z } from 'zod';
import { auditBySchema } from './audit.ts';
import { transportSchema } from './frames.ts';
import { cohortSchema, reasonSchema } from './http.ts';

/** Bounds of what an admin may write. */
export const adminLimits = {
  listEntries: 10_000,
  reasonChars: 500,
  sessions: 1000,
} as const;

/** Why a change is made; the audit trail keeps it. */
export const whySchema = z
  .string({ error: 'is required: say why, the audit trail keeps it' })
  .trim()
  .min(1, 'is required: say why, the audit trail keeps it')
  .max(adminLimits.reasonChars, `has more than ${adminLimits.reasonChars} characters`);

/** 0–100 in steps of 0.01. */
export const percentSchema = z
  .number()
  .min(0)
  .max(100)
  // In binary 0.07 × 100 is 7.000000000000001: compare what rounding gives back, not the remainder.
  .refine((percent) => Math.round(percent * 100) / 100 === percent, 'has more than two decimals');

/** `sub` names that user in every org, `org/sub` in one. */
export const listEntrySchema = z
  .string()
  .regex(/^([A-Za-z0-9._@:-]{1,128}\/)?[A-Za-z0-9._@:-]{1,128}$/, 'is neither sub nor org/sub');

export const reasonBodySchema = z.object({ reason: whySchema });
export const percentBodySchema = z.object({ percent: percentSchema, reason: whySchema });
export const enabledBodySchema = z.object({ enabled: z.boolean(), reason: whySchema });
export const flagBodySchema = z
  .object({ percent: percentSchema.optional(), enabled: z.boolean().optional(), reason: whySchema })
  .refine(
    ({ percent, enabled }) => percent !== undefined || enabled !== undefined,
    'give percent or enabled',
  );
export const listBodySchema = z.object({
  users: z
    .array(listEntrySchema)
    .max(adminLimits.listEntries)
    .transform((users) => [...new Set(users)]),
  reason: whySchema,
});

/** A node that its environment holds at long-poll, and the variables that do. */
const cappedNodeSchema = z.object({ node: z.string(), variables: z.array(z.string()) });

const acksSchema = z.record(z.string(), z.int());

/** The moves of one direction: told at their moments, gone when they are done. */
const moveProgressSchema = z.object({
  from: transportSchema,
  to: transportSchema,
  done: z.int(),
  left: z.int(),
  etaMs: z
    .int()
    .nullable()
    .meta({
      description:
        'until the last of them is gone at the latest, the time included that a stream may stay after `migrate`; null ' +
        'while a pause holds them',
    }),
  doneBy: z.iso.datetime().nullable(),
});
export type MoveProgressBody = z.infer<typeof moveProgressSchema>;

export const changeAnswerSchema = z.object({
  version: z.int(),
  /** False: this node obeys, and the rules could not be written. */
  written: z.boolean(),
  acks: acksSchema,
  laggards: z.array(z.string()),
  capped: z.array(cappedNodeSchema).optional().meta({
    description: 'nodes that stay at long-poll whatever the rules say; absent where there are none',
  }),
  movesInProgress: z.array(moveProgressSchema).optional().meta({
    description: 'what the change moves, by estimate; absent where it moves nobody',
  }),
});
export type ChangeAnswer = z.infer<typeof changeAnswerSchema>;

const connectedSchema = z.object({ websocket: z.int(), 'long-poll': z.int() });
const cohortCountSchema = z.object({
  assigned: z.int().meta({ description: 'of those connected, how many the rules now put in this cohort' }),
  connected: connectedSchema.meta({ description: 'by the cohort each connection was admitted with' }),
});

const cohortsSchema = z.object({ canary: cohortCountSchema, control: cohortCountSchema });
const movesSchema = z.object({ inProgress: z.int(), doneBy: z.iso.datetime().nullable() });
const missingSchema = z
  .array(z.string())
  .meta({ description: 'living nodes that did not say within a second who is connected to them' });

const assignedBySchema = z.int().exactOptional().meta({
  description:
    'the version of the rules that `assigned` counts by: older than `version` while nodes still count',
});

/** What one node tells another of those connected to it. A node of an older release leaves `assignedBy` out. */
export const nodeCountsSchema = z.object({
  cohorts: cohortsSchema,
  assignedBy: assignedBySchema,
  moves: movesSchema,
  movesInProgress: z.array(moveProgressSchema).default([]),
});
export type NodeCounts = z.infer<typeof nodeCountsSchema>;

export const rolloutBodySchema = z.object({
  version: z.int(),
  // A node of an older release leaves it out.
  rules: z.object({ up: z.boolean(), detail: z.string() }).default({ up: true, detail: '' }).meta({
    description:
      'whether the rules could be read when last tried; where not, all of this is what one node holds',
  }),
  changedAt: z.iso.datetime(),
  percent: z.number(),
  enabled: z.boolean(),
  killed: z.boolean(),
  killedBy: z.object({
    rules: z.array(
      z.object({
        id: z.string(),
        at: z.iso.datetime(),
        by: auditBySchema.optional(),
        who: z.string(),
        reason: z.string(),
      }),
    ),
    node: z
      .array(z.string())
      .meta({ description: "causes of this node's latch: kill ids, or its kill file" }),
  }),
  allowlist: z.array(z.string()),
  denylist: z.array(z.string()),
  holdback: z.number(),
  flags: z.record(z.string(), z.object({ enabled: z.boolean(), percent: z.number() })),
  paused: z.array(z.string()),
  acks: acksSchema,
  laggards: z.array(z.string()),
  capped: z.array(cappedNodeSchema),
  cohorts: cohortsSchema,
  assignedBy: assignedBySchema,
  moves: movesSchema,
  movesInProgress: z.array(moveProgressSchema),
  missing: missingSchema,
});
export type RolloutBody = z.infer<typeof rolloutBodySchema>;

export const decisionBodySchema = z.object({
  org: z.string(),
  user: z.string(),
  transport: transportSchema,
  cohort: cohortSchema,
  reason: reasonSchema,
  bucket: z.int().meta({ description: '0–9999: in at percent p when below p × 100' }),
  version: z.int(),
});
export type DecisionBody = z.infer<typeof decisionBodySchema>;

export const sessionsBodySchema = z.object({
  sessions: z.array(
    z.object({
      node: z.string(),
      connection: z.string(),
      org: z.string(),
      user: z.string(),
      transport: transportSchema,
      cohort: cohortSchema,
      session: z.string().nullable(),
      assignment: z.int().nullable(),
      since: z.iso.datetime(),
      isMoving: z.boolean(),
      cursor: z.string().nullable(),
      seq: z.int().nullable(),
      behind: z.int().meta({ description: "events of the org's log after its cursor" }),
    }),
  ),
  more: z.boolean(),
  missing: missingSchema,
});
export type SessionsBody = z.infer<typeof sessionsBodySchema>;

const shadowCountSchema = z.int().min(0);
/** What the shadow of one profile has found since the nodes started. It holds nothing of what events say. */
const shadowSummarySchema = z.object({
  compared: shadowCountSchema.meta({ description: 'answers of the old backend that were compared' }),
  same: shadowCountSchema,
  differences: z.object({
    missing: shadowCountSchema.meta({ description: "answers with an event that Turnout's log lacks" }),
    extra: shadowCountSchema.meta({ description: 'answers that leave out an event that Turnout has' }),
    order: shadowCountSchema,
    shape: shadowCountSchema.meta({
      description: 'answers with an event that Turnout would write otherwise',
    }),
    late: shadowCountSchema.meta({ description: 'answers whose events came to the log only after them' }),
    unreadable: shadowCountSchema.meta({ description: 'answers that the profile does not describe' }),
  }),
  skipped: z.object({
    'no-cursor': shadowCountSchema,
    'unknown-cursor': shadowCountSchema,
    reset: shadowCountSchema,
    'log-away': shadowCountSchema,
  }),
  mostLateMs: z.number().min(0),
  examples: z.array(
    z.object({
      kind: z.enum(['missing', 'extra', 'order', 'shape', 'late', 'unreadable']),
      /** Unix milliseconds. */
      at: z.number(),
      keys: z.array(z.string()).meta({ description: 'at most three' }),
      detail: z.string().optional(),
    }),
  ),
});
export type ShadowSummary = z.infer<typeof shadowSummarySchema>;
export const shadowNodeSchema = z.record(z.string(), shadowSummarySchema);
export const shadowBodySchema = z.object({
  profiles: shadowNodeSchema.meta({ description: 'by the name of the profile, summed over the nodes' }),
  missing: missingSchema,
});
export type ShadowBody = z.infer<typeof shadowBodySchema>;

export const drainAnswerSchema = z.object({ node: z.string(), draining: z.literal(true) });
