/** The one error class: a code of schema/codes.ts, a message that may leave the house, and what caused it (which may not). */
import { type Code, codes } from '../schema/codes.ts';

export class TurnoutError extends Error {
  readonly code: Code;
  /** Seconds for `Retry-After`, where the thrower knows better than the default. */
  readonly retryAfterS: number | undefined;

  constructor(code: Code, message?: string, options: { cause?: unknown; retryAfterS?: number } = {}) {
    super(message ?? codes[code].message, { cause: options.cause });
    this.name = 'TurnoutError';
    this.code = code;
    this.retryAfterS = options.retryAfterS;
  }
}

/** Makes (never throws) the error for `code`: `throw fail('service_forbidden', 'no claim for chat')`. */
export function fail(
  code: Code,
  message?: string,
  options?: { cause?: unknown; retryAfterS?: number },
): TurnoutError {
  return new TurnoutError(code, message, options);
}

/** Any thrown value as an error of the table: an unknown one becomes `internal`, its message kept as the cause. */
export function asTurnoutError(thrown: unknown): TurnoutError {
  return thrown instanceof TurnoutError ? thrown : new TurnoutError('internal', undefined, { cause: thrown });
}
