/** Guards of proxy: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const proxyMutations: readonly Mutation[] = [];
