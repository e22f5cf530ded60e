/** What operators are told of the auth server: a count of every question, and a line once in a while. */
import type { AskOutcome } from './server.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';

// Each caller's failure as a line of its own would drown the log.
const quietMs = 10_000;

/** For `onAsked` of an auth server. Names an outcome and a status or error code, nothing of the caller. */
export function authServerReport(
  metrics: Pick<Metrics, 'authAsked'>,
  logger: Pick<Logger, 'warn'>,
  clock: Pick<Clock, 'monotonic'>,
) {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  return (outcome: AskOutcome, why: string): void => {
    metrics.authAsked.inc({ outcome });
    if (outcome === 'known' || outcome === 'refused' || clock.monotonic() < quietUntilMs) return;
    quietUntilMs = clock.monotonic() + quietMs;
    logger.warn({ outcome, why }, 'the auth server does not say who is asking');
  };
}
