/** Asks the gateway which transport to use: a fresh token, one request, and what came of it. Keeps the token, unseen. */
import type { NegotiateRequest, NegotiateResponse } from '../../schema/http.ts';
import type { Environment } from './environment.ts';
import { type Refusal, refusalOf } from './refusal.ts';
import { authorizationOf, type TokenSource } from './token.ts';

export type Negotiated =
  | { readonly ok: true; readonly answer: NegotiateResponse; readonly isSlow: boolean }
  | ({ readonly ok: false } & Refusal);

const withinMs = 10_000;
// Half of what a stream has to open.
const slowMs = 3000;

export class Negotiation {
  private readonly url: string;
  private readonly source: TokenSource;
  private readonly environment: Environment;
  private abort = new AbortController();
  /** The newest that the gateway was shown; connections that are opened use it. */
  token = '';
  /** The last that was refused. */
  refusedToken: string | undefined;

  constructor(url: string, source: TokenSource, environment: Environment) {
    this.url = url;
    this.source = source;
    this.environment = environment;
  }

  /** Never rejects. @param mustDiffer the last token was refused. */
  async ask(request: NegotiateRequest, mustDiffer: boolean): Promise<Negotiated> {
    this.cancel();
    const abort = new AbortController();
    this.abort = abort;
    const { clock } = this.environment;
    const cancelTimer = clock.after(withinMs, () => abort.abort());
    try {
      const token = await Promise.race([this.source(), aborted(abort.signal)]);
      // Not the newest: an older connection may end with its own token while the next is already here.
      if (mustDiffer && token === this.refusedToken) return failed('reauth', 'same_token');
      this.token = token;
      const sinceMs = clock.now();
      const answer = await this.environment.fetch(this.url, {
        method: 'POST',
        headers: { ...authorizationOf(token), 'content-type': 'application/json' },
        body: JSON.stringify(request),
        signal: abort.signal,
      });
      const body: unknown = await answer.json().catch(() => undefined);
      // The gateway answers as its schema says; what stands in between need not.
      if (answer.ok && isDecision(body))
        return { ok: true, answer: body, isSlow: clock.now() - sinceMs >= slowMs };
      const refusal = refusalOf(answer, body);
      if (refusal.verdict === 'reauth') this.refusedToken = token;
      return { ok: false, ...refusal };
    } catch (thrown) {
      // No network, no token, or too late: each may pass.
      return failed('backoff', thrown instanceof Error ? thrown.message : 'network');
    } finally {
      cancelTimer();
    }
  }

  cancel(): void {
    this.abort.abort();
  }
}

function failed(verdict: Refusal['verdict'], code: string): Negotiated {
  return { ok: false, verdict, code, retryAfterMs: undefined };
}

function isDecision(body: unknown): body is NegotiateResponse {
  return typeof body === 'object' && body !== null && 'transport' in body && 'urls' in body;
}

/** Rejects on abort: an application's token source may never answer. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('too_late')), { once: true });
  });
}
