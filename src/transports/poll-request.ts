/** What a poll asks, and the client that waits for its answer. */
import type { ServerResponse } from 'node:http';
import type { Cancel } from '../clock.ts';
import type { Form } from '../hub/chunk.ts';
import type { Identity } from '../auth/identity.ts';
import type { Start } from '../log/event-log.ts';

export interface PollRequest {
  readonly identity: Identity;
  readonly services: ReadonlySet<string>;
  readonly start: Start;
  readonly waitMs: number;
  readonly limit: number;
  readonly session: string | undefined;
  /** What an SDK sent; a legacy client sends none. */
  readonly assignment: number | undefined;
  readonly client: PollClient;
  /** How its events are written where that is not the poll's own JSON: another API's dialect. */
  readonly form?: Form;
}

/** Whoever waits for the answer. */
export interface PollClient {
  /** As the limits by address count it; undefined where they are off. */
  readonly network: string | undefined;
  /** Nobody reads the answer any more. */
  readonly isGone: boolean;
  /** Runs once when they go. */
  onGone(run: () => void): Cancel;
}

/** The client behind a response; `outgoing` is undefined where a test asks the app without a server. */
export function pollClientOf(
  outgoing:
    | (Pick<ServerResponse, 'destroyed' | 'once' | 'off'> & Partial<Pick<ServerResponse, 'socket'>>)
    | undefined,
  network: string | undefined,
): PollClient {
  return {
    network,
    get isGone() {
      // A socket that was cut is destroyed before its answer is.
      return outgoing !== undefined && (outgoing.destroyed || outgoing.socket?.destroyed === true);
    },
    onGone(run) {
      outgoing?.once('close', run);
      return () => outgoing?.off('close', run);
    },
  };
}
