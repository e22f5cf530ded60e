/**
 * The company's existing client: it polls, sends the cursor back and backs off on errors. It knows nothing of Turnout,
 * of WebSocket or of rollouts, and must go on working whatever those do.
 */

interface LegacyEvent {
  readonly id: string;
  readonly service: string;
  readonly type: string;
  readonly payload: unknown;
  readonly [field: string]: unknown;
}

export interface PollerOptions {
  /** Base address of the API, `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly token: string;
  readonly services: readonly string[];
  readonly onEvent: (event: LegacyEvent) => void;
  /** The server no longer has what came before: read the snapshot again. */
  readonly onReset: (reason: string) => void;
  /** Something failed; the poller goes on after `waitMs`. */
  readonly onError: (problem: string, waitMs: number) => void;
  /** What the pauses between failing polls grow to, milliseconds; absent: 30,000. */
  readonly longestBackoffMs?: number;
  /** Ends the loop. */
  readonly signal: AbortSignal;
}

/** The token is no longer taken: nothing but a new one helps, so the loop ends. */
export class SignedOutError extends Error {}

interface PollAnswer {
  readonly events: readonly LegacyEvent[];
  readonly cursor: string;
  readonly reset?: { readonly reason: string };
}

const firstBackoffMs = 500;

/** Polls until `signal` aborts. @throws SignedOutError on 401. */
export async function pollForever(options: PollerOptions): Promise<void> {
  const { signal, longestBackoffMs = 30_000 } = options;
  let cursor: string | undefined;
  let backoffMs = firstBackoffMs;
  while (!signal.aborted) {
    try {
      const answer = await ask(options, cursor);
      if (answer.reset !== undefined) options.onReset(answer.reset.reason);
      for (const event of answer.events) options.onEvent(event);
      // Only now: a crash above asks for the same events again instead of losing them.
      cursor = answer.cursor;
      backoffMs = firstBackoffMs;
    } catch (thrown) {
      if (signal.aborted) return;
      if (thrown instanceof SignedOutError) throw thrown;
      options.onError(thrown instanceof Error ? thrown.message : String(thrown), backoffMs);
      await pause(backoffMs, signal);
      backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
    }
  }
}

async function ask({ url, token, services, signal }: PollerOptions, cursor?: string): Promise<PollAnswer> {
  const query = new URLSearchParams({ services: services.join(',') });
  if (cursor !== undefined) query.set('cursor', cursor);
  const answer = await fetch(`${url}/v1/realtime/poll?${query.toString()}`, {
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  if (answer.status === 401) throw new SignedOutError('the token was refused');
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  // The API's documented answer; a legacy client trusts its server.
  return (await answer.json()) as PollAnswer;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
