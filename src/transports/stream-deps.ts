/** What a stream needs of the house around it, and who opens one. */
import type { Clock } from '../clock.ts';
import type { TurnoutError } from '../errors.ts';
import type { Hub } from '../hub/hub.ts';
import type { Sessions } from '../hub/sessions.ts';
import type { Identity, Ticket } from '../auth/identity.ts';
import type { Traffic } from '../metrics/traffic.ts';
import type { Admission } from './admission.ts';
import type { CloseReport } from './close-report.ts';
import type { CommandDeps } from './commands.ts';
import type { Wheel } from './wheel.ts';

export interface StreamDeps extends CommandDeps {
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly traffic: Traffic;
  readonly pingMs: number;
  readonly maxPerUser: number;
  /** Once for each stream, when its socket is gone. */
  onClosed(report: CloseReport): void;
  /** Something that should not happen did; the stream was closed with 1011 or the frame answered by an error. */
  onFault(error: TurnoutError): void;
  onAdvice(why: 'draining'): void;
}

/** Who opened the stream, once its token or ticket was verified. */
export interface Visitor {
  readonly identity: Identity;
  readonly ticket: Ticket | undefined;
}
