/** What an HTTP answer that is no success asks of the client (docs/PROTOCOL.md, 5). */
import type { ErrorBody } from '../../schema/http.ts';
import { type Verdict, verdictOfStatus } from './closes.ts';

export interface Refusal {
  readonly verdict: Verdict;
  /** The error code of the gateway's table; the status where something in between answered. */
  readonly code: number | string;
  /** `Retry-After`, where it was given. */
  readonly retryAfterMs: number | undefined;
}

// Whoever names a longer wait is not obeyed: a proxy's page for a whole day must not outlast its outage by hours.
const longestMs = 5 * 60_000;

/** @param body of the answer, parsed; whatever stands there. */
export function refusalOf(answer: Response, body: unknown): Refusal {
  const error = (body as Partial<ErrorBody> | null | undefined)?.error;
  return {
    verdict: verdictOfStatus(answer.status, error?.retry),
    code: error?.code ?? answer.status,
    retryAfterMs: retryAfterMs(answer.headers),
  };
}

/** Seconds, or a date: that one is held against the answer's own, as the client's clock may be wrong. */
function retryAfterMs(headers: Headers): number | undefined {
  const given = headers.get('retry-after');
  if (given === null) return undefined;
  const ms = /^\d+$/.test(given)
    ? Number(given) * 1000
    : Date.parse(given) - Date.parse(headers.get('date') ?? '');
  return ms >= 0 ? Math.min(ms, longestMs) : undefined;
}
