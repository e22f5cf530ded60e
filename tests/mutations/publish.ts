/** Guards of publish: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const publishMutations: readonly Mutation[] = [];
