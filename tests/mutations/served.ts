/** Guards of served: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const servedMutations: readonly Mutation[] = [];
