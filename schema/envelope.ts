/**
 * The event envelope 1.0 (docs/PROTOCOL.md, 3): what every event looks like on the wire, and what a publisher may
 * send to make one. Version 1.0 is frozen: its JSON Schema is locked by hash in `lock.json`.
 */
import { z } from 'zod';
import { limits } from './codes.ts';

export const orgSchema = z
  .string()
  .regex(/^[A-Za-z0-9._@:-]{1,128}$/)
  .meta({ description: 'the unit of ordering, retention and isolation' });
export const userSchema = z.string().regex(/^[A-Za-z0-9._@:-]{1,128}$/);
export const serviceSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._/-]{0,63}$/)
  .meta({ description: 'a named stream inside an org' });
/** True for `turnout` and `turnout/…`: services of the gateway's own marks, which nobody else may publish to or read. */
export const isOwnService = (service: string): boolean => /^turnout(\/|$)/.test(service);
export const eventIdSchema = z.string().regex(/^[\x21-\x7e]{1,128}$/);
export const eventTypeSchema = z.string().min(1).max(128);

const optionalEnvelopeFields = {
  thread_id: z.string().max(256).optional(),
  agent: z.string().max(128).optional(),
  in_reply_to: z.string().max(256).optional(),
  meta: z.looseObject({ trace: z.string().max(256).optional() }).optional(),
};

/** One event as a client receives it. Unknown fields are kept and passed on. */
export const envelopeSchema = z.looseObject({
  seq: z.int().min(1).optional().meta({ description: 'absent on an ephemeral event only' }),
  id: eventIdSchema,
  service: serviceSchema,
  type: eventTypeSchema,
  timestamp: z.iso.datetime().meta({ description: "the log's time of append" }),
  ...optionalEnvelopeFields,
  sender: userSchema.optional().meta({ description: 'the user who published it, set by the server alone' }),
  payload: z.unknown(),
});
export type Envelope = z.infer<typeof envelopeSchema>;

/** One event as a publisher sends it. `seq`, `timestamp` and `sender` are refused before this schema is asked. */
export const publishEventSchema = z.looseObject({
  service: serviceSchema,
  type: eventTypeSchema,
  payload: z.unknown().refine((payload) => payload !== undefined, 'payload is required'),
  id: eventIdSchema.optional(),
  ...optionalEnvelopeFields,
  to: z.array(userSchema).min(1).max(limits.recipients).optional(),
  ephemeral: z.boolean().optional(),
});
export type PublishEvent = z.infer<typeof publishEventSchema>;

/** Fields that only the server may set; a publish that brings one is refused with `reserved_field`. */
export const reservedFields = ['seq', 'timestamp', 'sender'] as const;

/** `assistant_message` 1.0: an envelope of that type, whose payload carries what the assistant says and does. */
export const assistantMessageSchema = envelopeSchema.extend({
  type: z.literal('assistant_message'),
  thread_id: z.string().max(256),
  payload: z.looseObject({
    text: z.string().optional(),
    actions: z.array(z.looseObject({ type: z.string().min(1) })).optional(),
  }),
});
