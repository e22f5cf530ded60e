/** Asks the gateway which transport to use: a fresh token, one request, and what came of it. Keeps the token, unseen. */
import type { ErrorBody, NegotiateRequest, NegotiateResponse } from '../../schema/http.ts';
import { type Verdict, verdictOfStatus } from './closes.ts';
import type { Environment } from './environment.ts';

export type TokenSource = () => string | Promise<string>;

export type Negotiated =
  | { readonly ok: true; readonly answer: NegotiateResponse }
  | { readonly ok: false; readonly verdict: Verdict; readonly code: number | string };

const withinMs = 10_000;

export class Negotiation {
  private readonly url: string;
  private readonly source: TokenSource;
  private readonly environment: Environment;
  private abort = new AbortController();
  /** The token of the last negotiation; its connections use it too. */
  token = '';

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
    const cancelTimer = this.environment.clock.after(withinMs, () => abort.abort());
    try {
      const token = await Promise.race([this.source(), aborted(abort.signal)]);
      if (mustDiffer && token === this.token) return { ok: false, verdict: 'reauth', code: 'same_token' };
      this.token = token;
      const answer = await this.environment.fetch(this.url, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(request),
        signal: abort.signal,
      });
      const body: unknown = await answer.json().catch(() => undefined);
      // The gateway answers as its schema says; what stands in between need not.
      if (answer.ok && isDecision(body)) return { ok: true, answer: body };
      const error = (body as ErrorBody | undefined)?.error;
      const verdict = verdictOfStatus(answer.status, error?.retry);
      return { ok: false, verdict, code: error?.code ?? answer.status };
    } catch (thrown) {
      // No network, no token, or too late: each may pass.
      return { ok: false, verdict: 'backoff', code: thrown instanceof Error ? thrown.message : 'network' };
    } finally {
      cancelTimer();
    }
  }

  cancel(): void {
    this.abort.abort();
  }
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
