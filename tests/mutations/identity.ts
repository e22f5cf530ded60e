/** Guards of identity: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const identityMutations: readonly Mutation[] = [];
