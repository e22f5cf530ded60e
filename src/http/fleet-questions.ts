/** What the nodes of a fleet ask each other for the admin API. */
import { z } from 'zod';

const filterSchema = z.object({ org: z.string().optional(), user: z.string().optional() });

export const fleetQuestionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('counts') }),
  filterSchema.extend({ kind: z.literal('sessions') }),
  z.object({ kind: z.literal('shadow') }),
  z.object({ kind: z.literal('drain'), node: z.string() }),
]);
export type FleetQuestion = z.infer<typeof fleetQuestionSchema>;

/** Absent: any. */
export type SessionFilter = z.infer<typeof filterSchema>;
