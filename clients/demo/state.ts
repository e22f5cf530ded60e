/** What the gateway tells the demo's page. Types only: the page reads them, the crowd writes them. */
import type { Transport } from '../../schema/frames.ts';

/** One user of the crowd. */
export interface Member {
  readonly user: string;
  readonly org: string;
  /** `legacy`: knows no WebSocket and is never moved. */
  readonly kind: 'legacy' | 'sdk';
  /** What serves the user now; undefined while nothing does. */
  readonly transport: Transport | undefined;
  /** Between two transports, or asking for one. */
  readonly isMoving: boolean;
}

/** Counted over the crowd since it was started. A delivery is one event that one user was to get. */
export interface Totals {
  /** Events that the gateway acknowledged. */
  readonly published: number;
  readonly delivered: number;
  /** Acknowledged, and with nobody to hand it over yet. */
  readonly underWay: number;
  /** A later event came and this one had not, or it was half a minute late. */
  readonly lost: number;
  /** Handed to the application a second time. */
  readonly repeated: number;
}

/** A user who is now on `to`. `atMs` is Unix time. */
export interface Move {
  readonly atMs: number;
  readonly to: Transport;
}

export interface CrowdState {
  readonly members: readonly Member[];
  readonly totals: Totals;
  /** Oldest first; only the last ones. */
  readonly moves: readonly Move[];
}

/** Who the page may be. */
export interface PageTokens {
  readonly admin: string;
  /** Users of the panes, in the org whose events they show. */
  readonly legacy: string;
  readonly sdk: string;
  readonly services: readonly string[];
}
