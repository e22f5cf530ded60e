/**
 * The rules document: everything that decides who gets which transport, as one versioned value. Pure data; a store keeps it,
 * transitions.ts makes the next one.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { auditBySchema } from '../../../schema/audit.ts';
import { transportSchema } from '../../../schema/frames.ts';
import { type Feature, featureSchema, percentOf, transportFlag } from './features.ts';
import { type User, userId } from './user.ts';

/** One pull of the kill switch; the switch is on while any of them stands. */
const killSchema = z.object({
  id: z.string().min(1).max(64),
  at: z.int(),
  by: auditBySchema.optional(),
  who: z.string(),
  reason: z.string(),
});
export type Kill = z.infer<typeof killSchema>;

const listDiffSchema = z.object({ added: z.array(z.string()), removed: z.array(z.string()) });
export type ListDiff = z.infer<typeof listDiffSchema>;

/**
 * A change of the rules whose window is still open (docs/PROTOCOL.md, 9): when it was made, how long its moves are spread
 * over, and what it replaced, so that every node can tell whom it concerns.
 */
const openChangeSchema = z.object({
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

export const rulesSchema = z.object({
  /** Only ever rises; what the wire calls an assignment. */
  version: z.int().min(1),
  /** Tells two documents of one version apart. */
  nonce: z.string(),
  /** Unix milliseconds, by the clock of whatever stores the rules. */
  changedAt: z.int(),
  /** Whether anybody but the environment ever wrote them: from then on the environment has no say. */
  origin: z.enum(['environment', 'operator']),
  features: z.array(featureSchema),
  /** `sub` (that user in every org) or `org/sub`. */
  allowlist: z.array(z.string()),
  denylist: z.array(z.string()),
  /** Percent of users, the top buckets, who stay on long-poll as a control group. */
  holdback: z.number().min(0).max(100),
  kills: z.array(killSchema),
  /** Ids of kills that were ended, the newest last: a node that comes back late must not bring one of them again. */
  unkilled: z.array(z.string()),
  /** Why moves are held; they are while any cause stands. */
  pauses: z.array(z.string()),
  /** Since when moves are held, Unix milliseconds by the store's clock; absent while they aren't. */
  pausedAt: z.number().optional(),
  /** Changes whose moves may still be under way, the oldest first. */
  openChanges: z.array(openChangeSchema).default([]),
});
export type Rules = Readonly<z.infer<typeof rulesSchema>>;

export const endOf = ({ changedAt, windowMs }: OpenChange): number => changedAt + windowMs;

export const featureOf = (rules: Pick<Rules, 'features'>, name: string): Feature | undefined =>
  rules.features.find((feature) => feature.name === name);

export const isFlagOn = (rules: Pick<Rules, 'features'>): boolean =>
  featureOf(rules, transportFlag)?.enabled === true;
export const rolloutPercent = (rules: Pick<Rules, 'features'>): number =>
  percentOf(featureOf(rules, transportFlag));
export const isKilled = (rules: Pick<Rules, 'kills'>): boolean => rules.kills.length > 0;
export const areMovesHeld = (rules: Pick<Rules, 'pauses'>): boolean => rules.pauses.length > 0;

/**
 * Which of two documents holds: the higher version. One version with two nonces is what a failover that lost writes leaves:
 * then the killed one, else the greater nonce, so that all nodes choose alike (docs/ARCHITECTURE.md, 'The rules document').
 */
export function isNewer(one: Rules, other: Rules): boolean {
  if (one.version !== other.version) return one.version > other.version;
  if (isKilled(one) !== isKilled(other)) return isKilled(one);
  return one.nonce > other.nonce;
}

/** Compares two values through JSON, as the document is kept: what it leaves out is no difference. */
export const isSameInJson = (one: unknown, other: unknown): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(one ?? null)), JSON.parse(JSON.stringify(other ?? null)));

// Documents are immutable, so a list's set is made once; deciding for 10,000 sessions would else scan the list each time.
const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

/** Whether the list names the user, as `sub` or as `org/sub`. */
export function isListed(list: readonly string[], user: User): boolean {
  if (list.length === 0) return false;
  let entries = sets.get(list);
  if (entries === undefined) {
    entries = new Set(list);
    sets.set(list, entries);
  }
  return entries.has(user.sub) || entries.has(userId(user));
}
