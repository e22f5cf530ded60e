/** The one error class: a code of schema/codes.ts, a message that may leave the house, and what caused it (which may not). */
import { type Code, codes } from '../schema/codes.ts';
import type { ErrorBody } from '../schema/http.ts';

const defaultRetryAfterS = 1;

export class TurnoutError extends Error {
  /** Seconds for `Retry-After`, where the thrower knows better than the default. */
  readonly retryAfterS: number | undefined;

  constructor(
    readonly code: Code,
    message?: string,
    options: { cause?: unknown; retryAfterS?: number } = {},
  ) {
    super(message ?? codes[code].message, { cause: options.cause });
    this.name = 'TurnoutError';
    this.retryAfterS = options.retryAfterS;
  }
}

/** Makes (never throws) the error for `code`: `throw fail('service_forbidden', 'no claim for chat')`. */
export const fail = (...given: ConstructorParameters<typeof TurnoutError>): TurnoutError =>
  new TurnoutError(...given);

/** Any thrown value as an error of the table: an unknown one becomes `internal`, its message kept as the cause. */
export function asTurnoutError(thrown: unknown): TurnoutError {
  return thrown instanceof TurnoutError ? thrown : new TurnoutError('internal', undefined, { cause: thrown });
}

/** The code that Node or a library gave an error, `ECONNREFUSED` say; undefined where it gave none. */
export function codeIn(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string'
    ? thrown.code
    : undefined;
}

const hangUps = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** The other side closed the connection under a request: of one that was kept it says nothing about how that side is. */
export const isHangUp = (thrown: unknown): boolean => hangUps.has(codeIn(thrown) ?? '');

/** What a refused request is answered, whoever writes it. @param requestId empty where there is none yet */
export const errorBody = (
  { code, message }: Pick<TurnoutError, 'code' | 'message'>,
  requestId: string,
): ErrorBody => ({ error: { code, message, retry: codes[code].retry, requestId } });

/** Seconds for `Retry-After`; undefined where the status calls for none. */
export function retryAfterOf(error: { code: Code; retryAfterS?: number | undefined }): number | undefined {
  const { status } = codes[error.code];
  return status === 429 || status === 503 ? (error.retryAfterS ?? defaultRetryAfterS) : undefined;
}

/** The first problems of a parsed value, for its sender: `payload.text: …`. @param whole what an empty path is called */
export function problemsIn(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
  whole: string,
  most: number,
): string {
  const told = issues.slice(0, most);
  return told.map(({ path, message }) => `${path.map(String).join('.') || whole}: ${message}`).join('; ');
}
