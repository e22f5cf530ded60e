/** What a poll asks, and what answering it takes: shared by the transport and the polls it holds. */
import type { ServerResponse } from 'node:http';
import type { Cancel, Clock } from '../clock.ts';
import type { Form } from '../hub/chunk.ts';
import type { Hub } from '../hub/hub.ts';
import type { Sessions } from '../hub/sessions.ts';
import type { Identity } from '../auth/identity.ts';
import type { Start } from '../log/event-log.ts';
import type { Traffic } from '../metrics/traffic.ts';
import type { Admission } from './admission.ts';
import type { Wheel } from './wheel.ts';

export interface LongPollDeps {
  readonly hub: Hub;
  /** False while reads of the log are known to fail. */
  readonly isLogReachable: () => boolean;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly traffic: Traffic;
  readonly maxHeld: number;
  /** An answer is ready. `waitedMs` counts only where events were there when the poll came. */
  onAnswered(answer: { hadEvents: boolean; waitedMs: number }): void;
}

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
  /** Nobody reads the answer any more. */
  readonly isGone: boolean;
  /** Runs once when they go. */
  onGone(run: () => void): Cancel;
}

/** The client behind a response; `outgoing` is undefined where a test asks the app without a server. */
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
