/** What an end of a connection asks of the client (docs/PROTOCOL.md, 5), by close code or by the answer's `retry`. */
import type { Retry } from '../../schema/codes.ts';

/**
 * `never`: give up. `reauth`: once more, with a token that differs. `negotiate`: at once. `backoff`: later and later.
 * `window`: at a random moment of the advised window, so that those who were cut together don't return together.
 */
export type Verdict = 'never' | 'reauth' | 'negotiate' | 'backoff' | 'window';

export function verdictOfClose(code: number): Verdict {
  switch (code) {
    case 1000:
    case 1003:
    case 1008:
    case 1009:
    case 4409:
      return 'never';
    case 4401:
      return 'reauth';
    case 4410:
      return 'negotiate';
    case 1001:
    case 1005:
    case 1006:
    case 1012:
      return 'window';
    // 1011, 1013, 4408, and whatever a proxy makes up.
    default:
      return 'backoff';
  }
}

const verdictOfRetry: Readonly<Record<Retry, Verdict>> = {
  never: 'never',
  reauth: 'reauth',
  backoff: 'backoff',
  now: 'window',
};

/** Whether the close came from a gateway: 1006 and 1005 are what is left of a stream that something in between ended. */
export const isGatewaysClose = (code: number | string): boolean =>
  typeof code === 'number' && ((code >= 1011 && code <= 1013) || code >= 4000);

/** @param retry of our own error body; absent where something in between answered. */
export function verdictOfStatus(status: number, retry: Retry | undefined): Verdict {
  if (retry !== undefined && Object.hasOwn(verdictOfRetry, retry)) return verdictOfRetry[retry];
  if (status === 401) return 'reauth';
  return status === 400 || status === 403 ? 'never' : 'backoff';
}
