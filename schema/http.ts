/** HTTP bodies and queries of the users' routes (docs/PROTOCOL.md, 5, 6, 7, 11). The admin API's are in admin.ts. */
import { z } from 'zod';
import { codeSchema, limits, retrySchema } from './codes.ts';
import { envelopeSchema, orgSchema, publishEventSchema, serviceSchema } from './envelope.ts';
import { resetReasonSchema, sessionIdSchema, transportSchema } from './frames.ts';

export const errorBodySchema = z.object({
  error: z.object({ code: codeSchema, message: z.string(), retry: retrySchema, requestId: z.string() }),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;

export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max));

/** Query of a poll. `cursor`, `lastSeq` and `services` are checked further by the transport, each with its own code. */
export const pollQuerySchema = z.object({
  services: z.string().optional(),
  cursor: z.string().optional(),
  lastSeq: z.string().optional(),
  epoch: z.string().max(64).optional(),
  wait: wholeNumber(0, limits.pollWaitS).default(limits.pollWaitDefaultS),
  limit: wholeNumber(1, limits.pollEvents).default(limits.pollEventsDefault),
  session: sessionIdSchema.optional(),
  assignment: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional(),
});
export type PollQuery = z.infer<typeof pollQuerySchema>;

export const pollBodySchema = z.object({
  events: z.array(envelopeSchema),
  ephemeral: z.array(envelopeSchema).optional(),
  reset: z.object({ reason: resetReasonSchema }).optional(),
  more: z.literal(true).optional(),
  cursor: z.string(),
  seq: z.int().min(0),
  epoch: z.string(),
  transport: transportSchema,
  assignment: z.int().min(0),
});
export type PollBody = z.infer<typeof pollBodySchema>;

export const reasonSchema = z.enum([
  'kill-switch',
  'denylist',
  'unsupported',
  'node-capped',
  'flag-off',
  'allowlist',
  'override',
  'holdback',
  'rollout',
  'percent',
  'flags-unavailable',
]);
export type Reason = z.infer<typeof reasonSchema>;
export const cohortSchema = z.enum(['canary', 'control']);
export type Cohort = z.infer<typeof cohortSchema>;

export const negotiateRequestSchema = z.object({
  supports: z.array(z.string().max(64)).max(16).default(['websocket', 'long-poll']),
  current: transportSchema.optional(),
  cursor: z.string().optional(),
  session: sessionIdSchema.optional(),
  assignment: z.int().min(0).optional(),
  override: transportSchema.optional(),
  blocked: z.boolean().optional(),
  sdk: z.string().max(128).optional(),
});
export type NegotiateRequest = z.infer<typeof negotiateRequestSchema>;

/** Client behaviour that is flag-controlled and handed out in the negotiation. Durations in milliseconds. */
const clientSettingsSchema = z.object({
  autoreconnect: z.boolean(),
  backoffMs: z.array(z.int()),
  jitter: z.number(),
  maxAttempts: z.int(),
  reconnectWithinMs: z.int(),
  pingMs: z.int(),
});
export type ClientSettings = z.infer<typeof clientSettingsSchema>;

export const negotiateResponseSchema = z.object({
  transport: transportSchema,
  cohort: cohortSchema,
  reason: reasonSchema,
  assignment: z.int().min(0),
  urls: z.object({ websocket: z.string(), 'long-poll': z.string() }),
  cursor: z.string().optional(),
  client: clientSettingsSchema,
});
export type NegotiateResponse = z.infer<typeof negotiateResponseSchema>;

export const publishItemSchema = publishEventSchema.extend({ org: orgSchema.optional() });
export const publishBatchSchema = z.object({
  org: orgSchema.optional(),
  events: z.array(publishItemSchema).min(1).max(limits.batchEvents),
});
export const publishResultSchema = z.object({
  results: z.array(
    z.object({ seq: z.int().min(1).optional(), id: z.string(), duplicate: z.literal(true).optional() }),
  ),
  epoch: z
    .string()
    .optional()
    .meta({ description: 'absent where the events were ephemeral: no log was asked' }),
});
export type PublishResult = z.infer<typeof publishResultSchema>;

/** This node's totals, nobody's data (docs/PROTOCOL.md, 13). */
export const nodeMetricsSchema = z.object({
  activeConnections: z.int(),
  totalConnections: z.int(),
  eventsDelivered: z.int(),
  compressedMessages: z.int(),
  missedEventsReplayed: z.int(),
  connectionPoolStats: z.object({
    totalSubscriptions: z.int(),
    totalConnections: z.int(),
    totalOrgs: z.int(),
  }),
});
export type NodeMetrics = z.infer<typeof nodeMetricsSchema>;

export const serviceListSchema = z.array(serviceSchema).min(1).max(limits.servicesPerConnection);

export const bridgeHealthSchema = z.object({
  profile: z.string(),
  kind: z.string(),
  state: z.enum(['leading', 'standby', 'waiting', 'off']),
  leader: z.string().nullable(),
  isFed: z.boolean(),
  lagSeconds: z.number(),
  lastError: z.string().nullable(),
});
/**
 * What a bridge says of itself on one node.
 * - `state`: `leading`: this node bridges. `standby`: another one does, or none yet. `waiting`: it bridges, and waits for
 *   Turnout's Redis. `off`: TURNOUT_BRIDGE says so.
 * - `leader`: the node that bridges, as last heard.
 * - `isFed`: some node reads the source; while none does, legacy polls are left to the upstream.
 * - `lagSeconds`: from the source's time of the newest item (where it tells none, of its reading) to its append.
 */
export type BridgeHealth = z.infer<typeof bridgeHealthSchema>;

/** What `/readyz` answers. */
export const readySchema = z.object({
  status: z.enum(['ok', 'degraded', 'starting', 'draining']),
  log: z.object({ up: z.boolean(), detail: z.string() }),
  rules: z.object({ up: z.boolean(), detail: z.string(), version: z.int() }),
  bridges: z.array(bridgeHealthSchema).optional(),
});
export type Ready = z.infer<typeof readySchema>;
