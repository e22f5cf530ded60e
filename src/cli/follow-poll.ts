/** Follows services by long-poll (docs/PROTOCOL.md, 7). */
import { limits } from '../../schema/codes.ts';
import { pollBodySchema } from '../../schema/http.ts';
import type { Batch, FollowOptions, Position } from './follow.ts';

const answerMs = 10_000;

/**
 * Ends when the terminal is stopped; with `untilHead` also once all that was kept has been read.
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
    const query = new URLSearchParams({ services: services.join(','), wait: String(waitS), ...at(position) });
    const body = await client.call(pollBodySchema, `/v1/realtime/poll?${query.toString()}`, {
      timeoutMs: waitS * 1000 + answerMs,
    });
    const { cursor, reset, events, ephemeral = [] } = body;
    yield { events: [...events, ...ephemeral], cursor, ...(reset !== undefined && { reset: reset.reason }) };
    position = { at: 'cursor', cursor };
    if (untilHead && body.more === undefined) return;
  }
}

function at(position: Position): Record<string, string> {
  switch (position.at) {
    case 'now':
      return {};
    case 'earliest':
      return { cursor: 'earliest' };
    case 'seq':
      return { lastSeq: String(position.seq) };
    case 'cursor':
      return { cursor: position.cursor };
  }
}
