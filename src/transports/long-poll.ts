/**
 * The long-poll transport: places a reader, looks, and holds it where there is nothing yet. Stateless between polls: what
 * the client sends back is all that is known of it.
 */
import { codes } from '../../schema/codes.ts';
import { fail, TurnoutError } from '../errors.ts';
import type { Feed, Placed } from '../hub/feed.ts';
import { HeldPoll } from './held-poll.ts';
import { emptyBody } from './poll-body.ts';
import type { LongPollDeps, PollRequest } from './poll-request.ts';

export interface PollAnswer {
  readonly body: Buffer;
  /** The node is draining: the next poll should find another. */
  readonly mustClose: boolean;
}

const retryMs = 250;

export class LongPoll {
  private readonly deps: LongPollDeps;
  private readonly held = new Set<HeldPoll>();
  private isDraining = false;

  constructor(deps: LongPollDeps) {
    this.deps = deps;
  }

  /** @throws service_forbidden, log_unavailable (a poll without cursor), overloaded */
  async answer(request: PollRequest): Promise<PollAnswer> {
    const { deps } = this;
    const { org, reads } = request.identity;
    for (const service of request.services)
      if (!reads.allows(service)) throw fail('service_forbidden', `the token does not allow ${service}`);
    if (this.held.size >= deps.maxHeld) throw fail('overloaded');

    const cameMs = deps.clock.monotonic();
    const feed = await this.attach(request, cameMs);
    if (feed === undefined) return this.unplaced(request);
    try {
      const placed = await this.place(feed, request, cameMs);
      if (placed === undefined) return this.unplaced(request);
      const poll = new HeldPoll(deps, feed, request, placed);
      this.held.add(poll);
      try {
        // Draining: what is there is answered, nothing is held.
        if (this.isDraining) poll.migrate();
        const body = await poll.answered;
        const waitedMs = deps.clock.monotonic() - cameMs;
        deps.onAnswered({ hadEvents: poll.foundAtOnce, waitedMs });
        return { body, mustClose: this.isDraining };
      } finally {
        this.held.delete(poll);
      }
    } finally {
      deps.hub.release(org);
    }
  }

  /** Every held poll is answered, none is cut. */
  drain(): void {
    this.isDraining = true;
    for (const poll of this.held) poll.migrate();
  }

  private attach(request: PollRequest, cameMs: number): Promise<Feed | undefined> {
    return this.whileAway(request, cameMs, () => this.deps.hub.acquire(request.identity.org));
  }

  private place(feed: Feed, request: PollRequest, cameMs: number): Promise<Placed | undefined> {
    return this.whileAway(request, cameMs, () => feed.place(request.start));
  }

  /**
   * While the log is away a poll with a cursor is held to its wait, then answered with the cursor it came with
   * (undefined here); any other is refused at once.
   */
  private async whileAway<T>(
    request: PollRequest,
    cameMs: number,
    attempt: () => Promise<T>,
  ): Promise<T | undefined> {
    const { clock } = this.deps;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        const isAway = error instanceof TurnoutError && codes[error.code].status === 503;
        if (!isAway || request.start.at !== 'cursor') throw error;
        const leftMs = cameMs + request.waitMs - clock.monotonic();
        if (leftMs <= 0 || this.isDraining || request.signal.aborted) return undefined;
        await new Promise<void>((resolve) => clock.after(Math.min(retryMs, leftMs), resolve));
      }
    }
  }

  private unplaced(request: PollRequest): PollAnswer {
    const { start, identity, assignment, session } = request;
    if (start.at !== 'cursor') throw fail('log_unavailable');
    const due = this.deps.admission.poll(identity, { assignment, session });
    const state = { ...due, at: start.position, hasMore: false, reset: undefined, ephemeral: [] };
    return { body: emptyBody(state), mustClose: this.isDraining };
  }
}
