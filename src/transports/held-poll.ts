/**
 * One poll from its placing to its answer: a reader for one chunk. Answered once, by whatever comes first: events, the end
 * of its wait, its token's expiry, a move, a drain, or its client's leaving.
 */
import type { ResetReason, Transport } from '../../schema/frames.ts';
import type { Cohort } from '../../schema/http.ts';
import type { Cancel } from '../clock.ts';
import { type Chunk, firstOf, partsFor } from '../hub/chunk.ts';
import type { Feed } from '../hub/feed.ts';
import type { Placed } from '../hub/feed-deps.ts';
import { RingCursor } from '../hub/ring-cursor.ts';
import { anyTransport, type LiveSession } from '../hub/sessions.ts';
import { heldAtMostMs } from '../auth/identity.ts';
import type { Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import type { LongPollDeps } from './deps.ts';
import { fitting, pollForm, type PollState } from './poll-body.ts';
import type { PollRequest } from './poll-request.ts';
import { SessionValidity } from './session-validity.ts';

// Looking through what isn't the reader's ends after this much, with `more`.
const maxPages = 10;
const maxLookMs = 250;
// An ephemeral event answers a poll no sooner than this after it came: at most once a second.
const ephemeralAfterMs = 1000;
const maxEphemeral = 100;

/** What answers a poll, not yet written. */
export interface PollOutcome {
  /** Absent: no events. */
  readonly chunk: Chunk | undefined;
  readonly state: PollState;
}

export class HeldPoll extends RingCursor implements LiveSession {
  readonly transport = 'long-poll';
  readonly supports = anyTransport;
  readonly override: Transport | undefined = undefined;
  readonly isMoving = false;
  readonly connection: string;
  readonly org: string;
  readonly sub: string;
  readonly session: string | undefined;
  readonly assignment: number | undefined;
  readonly sinceMs: number;
  readonly cohort: Cohort;
  /** Rejects on a fault of ours alone: while the log is away a poll is held, and answered. */
  readonly answered: Promise<PollOutcome>;
  /** Events were waiting when the poll came. */
  foundAtOnce = false;
  private readonly holdMs: number;
  private resolve: (outcome: PollOutcome) => void = () => undefined;
  private reject: (fault: unknown) => void = () => undefined;
  private readonly cameMs: number;
  private pages = 0;
  private lookingSinceMs: number | undefined;
  private isHeld = false;
  private pending: EphemeralEvent[] = [];
  private cancels: Cancel[] = [];

  constructor(
    private readonly deps: LongPollDeps,
    feed: Feed,
    private readonly request: PollRequest,
    placed: Placed,
  ) {
    const { services, form = pollForm(request.limit) } = request;
    super({ feed, clock: deps.clock, position: placed.position, services, form });
    this.answered = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.connection = deps.clock.id();
    this.sinceMs = deps.clock.now();
    this.cameMs = deps.clock.monotonic();
    const { identity, assignment, session, start, waitMs } = request;
    this.org = identity.org;
    this.sub = identity.sub;
    this.session = session;
    this.assignment = assignment;
    const due = deps.admission.poll(identity, { assignment, session });
    const isDueNow = start.at === 'head' || due.mayMoveUp;
    this.cohort = due.cohort;
    this.holdMs = isDueNow ? 0 : Math.min(waitMs, heldAtMostMs(identity, deps.clock.now()));
    if (placed.reset === undefined) this.pump();
    else this.finish(undefined, { reset: placed.reset });
  }

  position(): Position {
    return this.place;
  }

  /** A poll moves by being answered: what it is due stands in the answer. */
  migrate(): void {
    this.finish();
  }

  end(): void {
    this.finish();
  }

  protected advance(): boolean {
    while (!this.isClosed && !this.isReading) {
      const chunk = this.group.chunkAfter(this.place);
      if (chunk === 'behind') {
        void this.readLog();
      } else if (chunk === undefined) {
        this.holdOn();
        return false;
      } else if (this.take(chunk)) {
        return true;
      }
    }
    return false;
  }

  protected hear(events: readonly EphemeralEvent[]): void {
    // Another API has no word for what isn't stored.
    if (this.isClosed || this.request.form !== undefined) return;
    const theirs = events.filter((event) => event.to?.includes(this.sub) ?? true);
    if (theirs.length === 0) return;
    const isFirst = this.pending.length === 0;
    this.pending = [...this.pending, ...theirs].slice(-maxEphemeral);
    const sinceCameMs = this.deps.clock.monotonic() - this.cameMs;
    if (isFirst)
      this.cancels.push(this.deps.wheel.after(ephemeralAfterMs - sinceCameMs, () => this.finish()));
  }

  /** Answers the poll where the chunk has events for it, or it has looked for long enough. */
  protected take(shared: Chunk): boolean {
    const chunk = firstOf(shared, this.request.limit, this.group.form);
    this.place = chunk.end;
    if (partsFor(chunk, this.sub).length > 0) {
      this.foundAtOnce = !this.isHeld;
      this.finish(chunk);
      return true;
    }
    this.pages += 1;
    const nowMs = this.deps.clock.monotonic();
    this.lookingSinceMs ??= nowMs;
    if (this.pages >= maxPages || nowMs - this.lookingSinceMs >= maxLookMs) this.finish();
    return false;
  }

  /** At the head, with nothing for this reader: wait for what comes, or for the end of the wait. */
  private holdOn(): void {
    this.lookingSinceMs = undefined;
    this.pages = 0;
    if (this.isHeld) return;
    if (this.holdMs <= 0 || this.request.client.isGone) {
      this.finish();
      return;
    }
    this.isHeld = true;
    this.deps.sessions.add(this);
    const finish = (): void => this.finish();
    this.cancels.push(this.deps.wheel.after(this.holdMs, finish), this.request.client.onGone(finish));
    const { identity } = this.request;
    if (identity.vouch === undefined) return;
    const validity = new SessionValidity(this.deps, identity, finish);
    this.cancels.push(() => validity.close());
  }

  protected restarted(reset: ResetReason): void {
    this.finish(undefined, { reset });
  }

  protected failed(fault: unknown): void {
    this.close();
    this.reject(fault);
  }

  /** The poll is held to its wait, then answered with the cursor that it has. */
  protected override bear(): void {
    this.holdOn();
  }

  private finish(chunk?: Chunk, { reset }: { reset?: ResetReason } = {}): void {
    if (this.isClosed) return;
    this.close();
    const { deps, request } = this;
    // Asked again: the rules may have changed while it was held.
    const { transport, assignment } = deps.admission.poll(request.identity, request);
    const hasMore = reset === undefined && this.place.seq < this.feed.head.seq;
    const state = {
      at: this.place,
      transport,
      assignment,
      hasMore,
      reset,
      ephemeral: fitting(this.pending, chunk),
    };
    if (chunk !== undefined) this.count(chunk);
    this.resolve({ chunk, state });
  }

  /** It looks no more, and nobody can move or end it. */
  override close(): void {
    if (this.isClosed) return;
    super.close();
    for (const cancel of this.cancels) cancel();
    if (!this.isHeld) return;
    this.deps.sessions.remove(this);
  }

  private count(chunk: Chunk): void {
    const events = partsFor(chunk, this.sub).reduce((sum, part) => sum + part.entries.length, 0);
    this.deps.traffic.delivered['long-poll'] += events;
    if (this.foundAtOnce) this.deps.traffic.replayed['long-poll'] += events;
  }
}
