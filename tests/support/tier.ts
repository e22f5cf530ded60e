/**
 * Which of the two tiers runs: `npm test`, or `npm run test:full`. A file named `*.long.test.ts` belongs to the full
 * tier alone; a test of both may ask here how long or how large it should be.
 */
export const isFullRun = process.env['TURNOUT_FULL'] === '1';

/** @returns `full` in the full tier, else `quick`. */
export const byTier = <T>(quick: T, full: T): T => (isFullRun ? full : quick);
