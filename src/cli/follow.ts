/** What following a stream is made of, whatever carries it: where to begin, and what comes of it. Follows by long-poll, too. */
import { codes, limits } from '../../schema/codes.ts';
import type { Envelope } from '../../schema/envelope.ts';
import type { ResetReason } from '../../schema/frames.ts';
import { pollBodySchema } from '../../schema/http.ts';
import type { GatewayClient } from './gateway-client.ts';
import type { Terminal } from './terminal.ts';

/** Where to begin, as a gateway is asked for it: at a cursor, after a seq; neither: from now on. */
export interface Position {
  /** `earliest`: all that is kept, which polls alone have a word for. */
  readonly cursor?: string;
  readonly lastSeq?: number;
}

export interface Batch {
  /** In seq order; those without a seq are ephemeral. */
  readonly events: readonly Envelope[];
  /** Everything up to here has been handed over, this batch included. Absent: the one before stands. */
  readonly cursor?: string;
  /** The position that was asked for is no longer served; the cursor is where it goes on. */
  readonly reset?: ResetReason;
  /** Something that the reader should know. */
  readonly note?: string;
}

/** The close code that says: this user's transport is long-poll. */
export const notAssigned = codes.transport_not_assigned.close;

export interface FollowOptions {
  readonly client: GatewayClient;
  readonly services: readonly string[];
  readonly terminal: Terminal;
}

/** `earliest`, a seq, a cursor; undefined or `now`: now. */
export function parsePosition(text: string | undefined): Position {
  if (text === undefined || text === 'now') return {};
  return /^\d{1,15}$/.test(text) ? { lastSeq: Number(text) } : { cursor: text };
}

const answerMs = 10_000;

/**
 * Follows services by long-poll (docs/PROTOCOL.md, 7). Ends when the terminal is stopped; with `untilHead` also once all
 * that was kept has been read.
 * @throws CommandError
 */
export async function* followByPoll(
  { client, services, terminal }: FollowOptions,
  begin: Position,
  untilHead = false,
): AsyncGenerator<Batch> {
  const waitS = untilHead ? 0 : limits.pollWaitDefaultS;
  let position = begin;
  while (!terminal.stopped.aborted) {
    const query = new URLSearchParams({ services: services.join(','), wait: String(waitS) });
    for (const [name, value] of Object.entries(position)) query.set(name, String(value));
    const body = await client.call(pollBodySchema, `/v1/realtime/poll?${query.toString()}`, {
      timeoutMs: waitS * 1000 + answerMs,
    });
    const { cursor, reset, events, ephemeral = [] } = body;
    yield { events: [...events, ...ephemeral], cursor, ...(reset !== undefined && { reset: reset.reason }) };
    position = { cursor };
    if (untilHead && body.more === undefined) return;
  }
}
