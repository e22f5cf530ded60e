/** Who waits for a held answer, seen from its response. */
import type { ServerResponse } from 'node:http';
import type { PollClient } from '../transports/poll-request.ts';

/** Undefined where a test asks the app without a server. */
export function pollClientOf(
  outgoing: Pick<ServerResponse, 'destroyed' | 'once' | 'off'> | undefined,
): PollClient {
  return {
    get isGone() {
      return outgoing?.destroyed ?? false;
    },
    onGone(run) {
      outgoing?.once('close', run);
      return () => outgoing?.off('close', run);
    },
  };
}
