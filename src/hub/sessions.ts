/**
 * Who is connected to this node, on what, at which cursor: one entry for each open stream and each held poll. The rollout
 * walks it to move people; the admin API shows it. It owns no socket and sends nothing itself.
 */
import type { CloseCode } from '../../schema/codes.ts';
import type { MigrateOrder, Transport } from '../../schema/frames.ts';
import type { Cohort } from '../../schema/http.ts';
import type { Position } from '../log/cursor.ts';

/** What a session supports that said nothing of it. */
export const anyTransport: readonly string[] = ['websocket', 'long-poll'];

export interface LiveSession {
  /** Random id of this stream or held poll. */
  readonly connection: string;
  readonly org: string;
  readonly sub: string;
  readonly transport: Transport;
  readonly cohort: Cohort;
  /** The client's own id, kept across its connections; absent for a client that sent none. */
  readonly session: string | undefined;
  /** The rules' version that the client has seen; undefined for a client that knows none (legacy). */
  readonly assignment: number | undefined;
  /** What the ticket carried, so that a later decision is made from the same facts. */
  readonly supports: readonly string[];
  readonly override: Transport | undefined;
  readonly sinceMs: number;
  /** True once a `migrate` was sent: it stands, and the connection no longer counts against the user's limit. */
  readonly isMoving: boolean;
  /** Undefined until the stream has been placed. */
  position(): Position | undefined;
  /** Events of the org's log after its position. */
  behind(): number;
  /** A stream: sends `migrate`, closes with 4410 when the time is up. A held poll: is answered. Once only. */
  migrate(order: MigrateOrder): void;
  /** Ends it with this code; a held poll is answered. */
  end(code: CloseCode): void;
}

/** How many are connected, by the cohort that each was admitted with, and by transport. */
export type ConnectedByCohort = Readonly<Record<Cohort, Readonly<Record<Transport, number>>>>;

/** Told of everybody who comes and goes. It must not throw. */
export interface SessionsWatcher {
  readonly came: (session: LiveSession) => void;
  readonly left: (session: LiveSession) => void;
}

export class Sessions {
  private readonly byConnection = new Map<string, LiveSession>();
  private readonly byUser = new Map<string, Set<LiveSession>>();

  private readonly watchers = new Set<SessionsWatcher>();
  /** Open streams, and held polls of clients that know assignments. */
  private streams = 0;
  private polls = 0;
  /** Kept as sessions come and go: whoever asks must not count them. */
  private readonly byCohort = {
    canary: { websocket: 0, 'long-poll': 0 },
    control: { websocket: 0, 'long-poll': 0 },
  };

  watch(watcher: SessionsWatcher): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** How many could be moved, by transport. */
  counts(): { readonly streams: number; readonly polls: number } {
    return { streams: this.streams, polls: this.polls };
  }

  /** Counts all, without visiting one. */
  connected(): ConnectedByCohort {
    const { canary, control } = this.byCohort;
    return { canary: { ...canary }, control: { ...control } };
  }

  has(session: Pick<LiveSession, 'connection'>): boolean {
    return this.byConnection.has(session.connection);
  }

  add(session: LiveSession): void {
    if (!this.has(session)) this.count(session, 1);
    this.byConnection.set(session.connection, session);
    const key = userKey(session.org, session.sub);
    const ofUser = this.byUser.get(key);
    if (ofUser === undefined) this.byUser.set(key, new Set([session]));
    else ofUser.add(session);
    for (const { came } of this.watchers) came(session);
  }

  /**
   * Ends the user's oldest streams until `maxPerUser` allows one more, which is not among them yet; those told to move
   * don't count.
   */
  makeRoom(org: string, sub: string, maxPerUser: number): void {
    const counted = [...this.ofUser(org, sub)].filter(
      (other) => other.transport === 'websocket' && !other.isMoving,
    );
    const excess = Math.max(0, counted.length + 1 - maxPerUser);
    for (const oldest of counted.slice(0, excess)) oldest.end('too_many_connections');
  }

  remove(session: LiveSession): void {
    if (!this.byConnection.delete(session.connection)) return;
    const key = userKey(session.org, session.sub);
    const ofUser = this.byUser.get(key);
    ofUser?.delete(session);
    if (ofUser?.size === 0) this.byUser.delete(key);
    this.count(session, -1);
    for (const { left } of this.watchers) left(session);
  }

  private count({ transport, assignment, cohort }: LiveSession, by: 1 | -1): void {
    this.byCohort[cohort][transport] += by;
    if (transport === 'websocket') this.streams += by;
    else if (assignment !== undefined) this.polls += by;
  }

  /** In the order they came. */
  all(): IterableIterator<LiveSession> {
    return this.byConnection.values();
  }

  ofUser(org: string, sub: string): ReadonlySet<LiveSession> {
    return this.byUser.get(userKey(org, sub)) ?? empty;
  }

  get size(): number {
    return this.byConnection.size;
  }
}

const empty: ReadonlySet<LiveSession> = new Set();

// Neither part may contain a slash, so two users never share a key.
const userKey = (org: string, sub: string): string => `${org}/${sub}`;
