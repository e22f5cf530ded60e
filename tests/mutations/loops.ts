/** Guards of loops: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const loopsMutations: readonly Mutation[] = [];
