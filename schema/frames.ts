/**
 * The frames of the stream (docs/PROTOCOL.md, 8), both ways. The client's are parsed with these schemas at the edge;
 * the server's are written by hand on the hot path and held to these schemas by tests.
 */
import { z } from 'zod';
import { codeSchema, limits } from './codes.ts';
import { envelopeSchema, publishEventSchema, eventIdSchema, serviceSchema } from './envelope.ts';

export const transportSchema = z.enum(['websocket', 'long-poll']);
export type Transport = z.infer<typeof transportSchema>;
export const resetReasonSchema = z.enum(['expired', 'epoch', 'fork', 'ahead']);
export type ResetReason = z.infer<typeof resetReasonSchema>;

const services = z.array(serviceSchema).max(limits.servicesPerConnection);
/** Parsed by src/log/cursor.ts, which alone decides whether it is one. */
const cursor = z.string();
export const sessionIdSchema = z.string().regex(/^[\x21-\x7e]{1,128}$/);

/** The first frame of a connection. `lastSeq` is checked by hand: a broken one is `bad_cursor`, not `bad_frame`. */
export const firstFrameSchema = z.object({
  services: services.min(1),
  version: z.literal(1),
  cursor: cursor.optional(),
  lastSeq: z.unknown().optional(),
  epoch: z.string().max(64).optional(),
  session: sessionIdSchema.optional(),
});

const auditSchema = z.object({
  epoch: z.string().max(64),
  from: z.int().min(0),
  to: z.int().min(0),
  count: z.int().min(0),
  sum: z.number().min(0),
  repeats: z.int().min(0),
});
export type Audit = z.infer<typeof auditSchema>;

/** Every later frame of the client. */
export const clientFrameSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('subscribe'), services }),
  z.object({ type: z.literal('unsubscribe'), services }),
  z.object({
    type: z.literal('publish'),
    id: eventIdSchema,
    service: serviceSchema,
    event: publishEventSchema.omit({ service: true, id: true }),
  }),
  z.object({ type: z.literal('auth'), token: z.string().max(16_384) }),
  z.object({ type: z.literal('pong'), audit: auditSchema.optional() }),
]);
export type ClientFrame = z.infer<typeof clientFrameSchema>;

const seq = z.int().min(0);
export const serverFrameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('ack'),
    seq,
    cursor: z.string(),
    epoch: z.string(),
    timestamp: z.iso.datetime(),
    connection: z.string(),
    pingMs: z.int(),
    assignment: z.int(),
  }),
  z.object({
    type: z.literal('event'),
    service: serviceSchema,
    events: z.array(envelopeSchema).min(1).max(limits.frameEvents),
    seq,
    cursor: z.string(),
  }),
  z.object({ type: z.literal('ephemeral'), service: serviceSchema, events: z.array(envelopeSchema).min(1) }),
  z.object({ type: z.literal('ping'), timestamp: z.iso.datetime(), seq, cursor: z.string() }),
  z.object({
    type: z.literal('reset'),
    reason: resetReasonSchema,
    seq,
    cursor: z.string(),
    epoch: z.string(),
  }),
  z.object({
    type: z.literal('migrate'),
    transport: transportSchema,
    withinMs: z.int(),
    reason: z.string(),
    assignment: z.int(),
    cursor: z.string(),
  }),
  z.object({ type: z.literal('reconnect'), withinMs: z.int(), reason: z.string(), cursor: z.string() }),
  z.object({ type: z.literal('published'), id: z.string(), seq: seq.optional() }),
  z.object({ type: z.literal('error'), code: codeSchema, message: z.string(), ref: z.string().optional() }),
]);
export type ServerFrame = z.infer<typeof serverFrameSchema>;
/** What a `migrate` says besides its cursor. `withinMs`: how long the old transport stays open. */
export type MigrateOrder = Readonly<Omit<Extract<ServerFrame, { type: 'migrate' }>, 'type' | 'cursor'>>;
