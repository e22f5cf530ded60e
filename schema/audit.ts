/** The audit trail of the admin API (docs/PROTOCOL.md, 12): its entries, and the pages that they are shown by. */
import { z } from 'zod';
import { wholeNumber } from './http.ts';

/** Entries of a page at most. */
export const auditPageEntries = 1000;

/** As what an author acted: a holder of a token (`org/sub`), of TURNOUT_ADMIN_TOKEN, on a node's machine, or a node's settings. */
export const auditBySchema = z.enum(['token', 'admin-token', 'local', 'environment']);

const auditActionSchema = z.enum([
  'start',
  'restore',
  'percent',
  'enabled',
  'flag',
  'allowlist',
  'denylist',
  'kill',
  'unkill',
  'pause',
  'resume',
  'drain',
]);
export const auditEntrySchema = z.object({
  /** The version that the change made, or that stood when it was noted. */
  version: z.int(),
  at: z.iso.datetime(),
  // An older release left it out.
  by: auditBySchema.optional().meta({ description: 'as what `who` acted' }),
  who: z.string().meta({ description: '`org/sub` of a token; any other author has no slash' }),
  action: auditActionSchema,
  from: z.unknown(),
  to: z.unknown(),
  reason: z.string(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;
/** An entry with its place in the trail, which pages are asked by. */
export type TrailEntry = AuditEntry & { readonly id: string };
export const auditQuerySchema = z.object({
  before: z
    .string()
    .regex(/^\d{1,15}-\d{1,15}$/)
    .optional(),
  limit: wholeNumber(1, auditPageEntries).default(auditPageEntries),
});
export const auditBodySchema = z.object({
  // A gateway of an older release leaves both out.
  entries: z.array(auditEntrySchema.extend({ id: z.string().default('') })),
  next: z
    .string()
    .nullable()
    .default(null)
    .meta({ description: '`before` for the page of older entries; null: there are none' }),
});
