/**
 * A change of the rules whose window is still open, as the document keeps it (docs/PROTOCOL.md, 9): when it was made, how
 * long its moves are spread over, and what it replaced, so that every node can tell whom it concerns.
 */
import { z } from 'zod';
import { transportSchema } from '../../../schema/frames.ts';
import { featureSchema } from './features.ts';

const listDiffSchema = z.object({ added: z.array(z.string()), removed: z.array(z.string()) });
export type ListDiff = z.infer<typeof listDiffSchema>;

export const openChangeSchema = z.object({
  /** The version that it made. */
  assignment: z.int(),
  /** Unix milliseconds by the store's clock; a pause that held it has moved it on. */
  changedAt: z.number(),
  windowMs: z.number().min(0),
  /** Where those whom it concerns go, mostly, and about how many of them are connected. */
  to: transportSchema,
  users: z.int().min(0),
  /** Ids of the kills that it pulled: its users are hashed with the first. */
  kills: z.array(z.string()),
  /** What it replaced, as far as decisions depend on it. */
  before: z.object({
    /** The flag of the transport. */
    feature: featureSchema.optional(),
    isKilled: z.boolean().optional(),
    holdback: z.number().optional(),
    allowlist: listDiffSchema.optional(),
    denylist: listDiffSchema.optional(),
  }),
});
export type OpenChange = Readonly<z.infer<typeof openChangeSchema>>;

export const endOf = ({ changedAt, windowMs }: OpenChange): number => changedAt + windowMs;
