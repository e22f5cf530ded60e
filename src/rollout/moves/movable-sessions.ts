/** Who is connected to this node, as far as the mover must know: a port, so that the rollout sees no transport. */
import type { Transport } from '../../../schema/frames.ts';
import type { Connected } from '../rules/pacing.ts';

export interface MoveOrder {
  readonly transport: Transport;
  /** How long the old transport stays open, milliseconds. */
  readonly withinMs: number;
  readonly reason: string;
  readonly assignment: number;
}

/** A stream or a held poll, as far as the mover must know it. */
export interface MovableSession {
  readonly connection: string;
  readonly org: string;
  readonly sub: string;
  readonly transport: Transport;
  readonly session: string | undefined;
  /** The version of the rules that the client has seen; undefined for one that knows none (legacy). */
  readonly assignment: number | undefined;
  readonly supports: readonly string[];
  readonly override: Transport | undefined;
  readonly isMoving: boolean;
  migrate(order: MoveOrder): void;
}

export interface MovableSessions {
  /** Those connected now; one that comes or goes during the walk may be seen or not. */
  all(): Iterable<MovableSession>;
  has(session: MovableSession): boolean;
  /** Open streams, and held polls of clients that can move up. */
  counts(): Connected;
  watch(watcher: {
    readonly came: (session: MovableSession) => void;
    readonly left: (session: MovableSession) => void;
  }): () => void;
}
