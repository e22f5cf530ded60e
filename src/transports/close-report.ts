/** How a stream ended: what the close line of the log and `ws_closes_total` are made of. */
import { type CloseCode, type Code, codes } from '../../schema/codes.ts';
import type { Logger } from '../logger.ts';
import type { StreamEnd } from '../metrics/metrics.ts';

export interface CloseReport extends StreamEnd {
  readonly connection: string;
  /** Empty where the stream ended before anybody was known. */
  readonly org: string;
  readonly user: string;
  readonly session: string | undefined;
  readonly services: ReadonlySet<string>;
  readonly reason: CloseCode | undefined;
}

/** The thread that a stream is about: the `chat/<thread>` it reads, where that is the only one. */
function threadOf(report: CloseReport): string | undefined {
  const threads = [...report.services].filter((service) => service.startsWith('chat/'));
  return threads.length === 1 ? threads[0]?.slice('chat/'.length) : undefined;
}

/** What ws found wrong with the peer's bytes; it has closed the socket with the right code by itself. */
export function endedBy(error: Error & { code?: unknown }): CloseCode | undefined {
  return error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'too_large' : undefined;
}

/** The code that a stream is closed with for an error: its own where it has one. */
export function closeCodeOf({ code }: { readonly code: Code }): CloseCode {
  const isCloseCode = (any: Code): any is CloseCode => 'close' in codes[any];
  return isCloseCode(code) ? code : 'internal';
}

/** One structured line for every stream that ends (requirements 5). */
export function logClose(logger: Pick<Logger, 'info'>, close: CloseReport): void {
  const fields = {
    connection: close.connection,
    user_id: close.user || undefined,
    org: close.org || undefined,
    thread_id: threadOf(close),
    session: close.session,
    transport: 'websocket',
    code: close.code,
    reason: close.reason ?? 'peer',
    // Seconds, as in ws_connection_duration_seconds; the sources name the field so.
    duration: Math.round(close.durationMs) / 1000,
    duration_ms: Math.round(close.durationMs),
  };
  logger.info(fields, 'stream closed');
}
