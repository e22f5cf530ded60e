/** What a stream and a poll need of the node around them. */
import type { PublishEvent } from '../../schema/envelope.ts';
import type { Holder } from '../async/bytes-in-flight.ts';
import type { Clock } from '../clock.ts';
import type { TurnoutError } from '../errors.ts';
import type { Hub } from '../hub/hub.ts';
import type { Sessions } from '../hub/sessions.ts';
import type { Identity, Ticket } from '../auth/identity.ts';
import type { Traffic } from '../metrics/traffic.ts';
import type { Admission } from './admission.ts';
import type { CloseReport } from './close-report.ts';
import type { Wheel } from './wheel.ts';

/** Whose limit of held polls: a label. */
export type PollLimit = 'node' | 'address' | 'user';

interface TransportDeps {
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly traffic: Traffic;
}

export interface StreamDeps extends TransportDeps {
  readonly pingMs: number;
  readonly maxPerUser: number;
  /** @param asker the user's key. @throws unauthorized */
  verifyToken(token: string, asker: string): Promise<Identity>;
  /** An end user's publish. @throws TurnoutError */
  publish(identity: Identity, event: PublishEvent): Promise<{ id: string; seq?: number }>;
  /** Once for each stream, when its socket is gone. */
  onClosed(report: CloseReport): void;
  /** Something that should not happen did; the stream was closed with 1011 or the frame answered by an error. */
  onFault(error: TurnoutError): void;
  onAdvice(why: 'draining'): void;
}

export interface LongPollDeps extends TransportDeps {
  /** False while reads of the log are known to fail. */
  readonly isLogReachable: () => boolean;
  readonly maxHeld: number;
  readonly maxHeldPerUser: number;
  /** A poll was refused, or the oldest of its user answered early, for one too many of the node, address or user. */
  onLimited(by: PollLimit): void;
  /** An answer is ready. `waitedMs` counts only where events were there when the poll came. */
  onAnswered(answer: { hadEvents: boolean; waitedMs: number }): void;
}

/** Who opened the stream, once its token or ticket was verified. */
export interface Visitor {
  readonly identity: Identity;
  readonly ticket: Ticket | undefined;
}

/** What a stream's way in keeps for it. */
export interface WayIn {
  /** Counts what its client makes the node hold. */
  readonly holder: Pick<Holder, 'set' | 'belongsTo'>;
  /** It ended before its user was admitted: it takes nobody's place any more, and its peer gets little time. */
  refused(): void;
}
