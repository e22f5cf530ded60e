/** How a stream ended: what the close line of the log and `ws_closes_total` are made of. */
import { type CloseCode, type Code, codes } from '../../schema/codes.ts';

export interface CloseReport {
  readonly connection: string;
  /** Empty where the stream ended before anybody was known. */
  readonly org: string;
  readonly user: string;
  readonly session: string | undefined;
  readonly services: ReadonlySet<string>;
  /** The close code: ours where we ended it, else the peer's (1006: cut). */
  readonly code: number;
  /** Why we ended it; undefined where the peer did. Never the peer's own words. */
  readonly reason: CloseCode | undefined;
  readonly durationMs: number;
  /** We had moved or drained it, whoever closed in the end: told apart from faults in every figure. */
  readonly isPlanned: boolean;
  /** It was acknowledged: one that was refused says nothing about how long connections last. */
  readonly wasLive: boolean;
}

/** The thread that a stream is about: the `chat/<thread>` it reads, where that is the only one. */
export function threadOf(report: CloseReport): string | undefined {
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
