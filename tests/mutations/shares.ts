/** Guards of shares: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const sharesMutations: readonly Mutation[] = [];
