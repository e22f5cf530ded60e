/** Who is connected to this node, as far as the mover must know: a port, so that the rollout sees no transport; and how many. */
import type { MigrateOrder, Transport } from '../../../schema/frames.ts';
import type { Cohort } from '../../../schema/http.ts';
import type { Clock } from '../../clock.ts';
import type { Connected } from '../rules/open-changes.ts';

/** A stream or a held poll, as far as the mover must know it. */
export interface MovableSession {
  readonly connection: string;
  readonly org: string;
  readonly sub: string;
  readonly transport: Transport;
  /** By the decision that it was admitted with; it never changes. */
  readonly cohort: Cohort;
  readonly session: string | undefined;
  /** The version of the rules that the client has seen; undefined for one that knows none (legacy). */
  readonly assignment: number | undefined;
  readonly supports: readonly string[];
  readonly override: Transport | undefined;
  readonly isMoving: boolean;
  migrate(order: MigrateOrder): void;
}

export interface MovableSessions {
  /** Those connected now; one that comes or goes during the walk may be seen or not. */
  all(): Iterable<MovableSession>;
  has(session: MovableSession): boolean;
  /** Open streams, and held polls of clients that can move up. */
  counts(): Connected;
  /** By the cohort that each was admitted with, and by transport; without visiting one. */
  connected(): Readonly<Record<Cohort, Readonly<Record<Transport, number>>>>;
  watch(watcher: {
    readonly came: (session: MovableSession) => void;
    readonly left: (session: MovableSession) => void;
  }): () => void;
}

/** A client that was answered has asked again well within this. */
const spanMs = 5000;

/**
 * How many are connected to this node, as a change's window must know it. A held poll ends with each event and is back a
 * moment later: counted at that moment alone, a crowd that was just told something would be nobody, and all of it would be
 * moved at once.
 */
export class LatelyConnected {
  /** The most polls held at a time, in this span and in the one before. */
  private peak = { current: 0, previous: 0 };
  private sinceMs: number;
  private readonly stop: () => void;

  constructor(
    private readonly sessions: MovableSessions,
    private readonly clock: Clock,
  ) {
    this.sinceMs = clock.monotonic();
    const note = (): void => this.note();
    this.stop = sessions.watch({ came: note, left: () => undefined });
  }

  /** Open streams now; held polls at their most in the last 5 to 10 s. */
  counts(): Connected {
    this.note();
    const { current, previous } = this.peak;
    return { streams: this.sessions.counts().streams, polls: Math.max(current, previous) };
  }

  close(): void {
    this.stop();
  }

  private note(): void {
    const goneMs = this.clock.monotonic() - this.sinceMs;
    if (goneMs >= spanMs) {
      this.peak = { current: 0, previous: goneMs < 2 * spanMs ? this.peak.current : 0 };
      this.sinceMs += Math.floor(goneMs / spanMs) * spanMs;
    }
    this.peak.current = Math.max(this.peak.current, this.sessions.counts().polls);
  }
}
