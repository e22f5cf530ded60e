/** Guards of bytes: faults and attacks that worked once. */
import type { Mutation } from './mutation.ts';

export const bytesMutations: readonly Mutation[] = [];
