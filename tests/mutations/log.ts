/** Guards of log: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const logMutations: readonly Mutation[] = [];
