/**
 * The promises of the `EventLog` port as tests. Every implementation runs them unchanged:
 * `eventLogConformance('in memory', makeHarness)`.
 */
import { afterEach, beforeEach, describe } from 'vitest';
import { appendPromises } from './event-log-append.ts';
import type { LogHarness, MakeHarness } from './event-log-harness.ts';
import { readPromises } from './event-log-read.ts';
import { resumePromises } from './event-log-resume.ts';
import { retentionPromises } from './event-log-retention.ts';
import { tailPromises } from './event-log-tail.ts';

export function eventLogConformance(name: string, makeHarness: MakeHarness): void {
  describe(`event log, ${name}`, () => {
    let harness: LogHarness;
    beforeEach(async () => {
      harness = await makeHarness();
    });
    afterEach(() => harness.close());

    const current = () => harness;
    appendPromises(current);
    readPromises(current);
    resumePromises(current);
    retentionPromises(current);
    tailPromises(current);
  });
}
