/**
 * The long-poll transport: places a reader, looks, and holds it where there is nothing yet. Stateless between polls: what
 * the client sends back is all that is known of it.
 */
import { codes } from '../../schema/codes.ts';
import { inSlices } from '../async/slices.ts';
import { type Cancel, pause } from '../clock.ts';
import { fail, TurnoutError } from '../errors.ts';
import type { Feed } from '../hub/feed.ts';
import type { Placed } from '../hub/feed-deps.ts';
import { heldAtMostMs } from '../auth/identity.ts';
import { LogDamaged } from '../log/event-log.ts';
import { HeldPoll, type PollOutcome } from './held-poll.ts';
import { chunkBody, emptyBody } from './poll-body.ts';
import { type PollPlace, PollRoom } from './poll-room.ts';
import type { PollRequest } from './poll-request.ts';
import type { LongPollDeps } from './deps.ts';
import { inTurns, toldPart, until } from './turns.ts';

export interface PollAnswer {
  readonly body: Buffer;
  /** The node is draining: the next poll should find another. */
  readonly mustClose: boolean;
}

interface Found {
  readonly feed: Feed;
  readonly placed: Placed;
}

const retryMs = 250;
// A poll that must not wait still gives the log this long: a read takes a moment even where all is well.
const minLogMs = 2000;
// A client that is sent back to a draining node asks again the moment it is answered: it is held this long, not for its wait.
const whileDrainingMs = 1000;
// Whoever was answered right before a drain is on the way back, on the same connection: not to be closed under the request.
const returnMs = 300;

export class LongPoll {
  private readonly held = new Set<HeldPoll>();
  /** Polls that wait for the log itself: each is let go by its own. */
  private readonly waiting = new Set<() => void>();
  private answeredMs = Number.NEGATIVE_INFINITY;
  private isDraining = false;
  private isClosing = false;

  private readonly room: PollRoom;

  constructor(private readonly deps: LongPollDeps) {
    this.room = new PollRoom(deps);
  }

  /** @throws service_forbidden, log_unavailable (a poll without cursor), overloaded, rate_limited */
  async answer(request: PollRequest): Promise<PollAnswer> {
    const { chunk, state } = await this.hold(request);
    const body = chunk === undefined ? emptyBody(state) : chunkBody(chunk, request.identity.sub, state);
    return { body, mustClose: this.isDraining };
  }

  /** The node is draining: whoever asks again should find another. */
  get mustClose(): boolean {
    return this.isDraining;
  }

  /** The same without writing it: for whoever answers in another API's words. @throws as `answer` */
  async hold(request: PollRequest): Promise<PollOutcome> {
    const { deps } = this;
    // A connection may be cut while its caller is asked for: nothing is read or written for it.
    if (request.client.isGone) throw fail('going_away');
    const { reads } = request.identity;
    for (const service of request.services)
      if (!reads.allows(service)) throw fail('service_forbidden', `the token does not allow ${service}`);
    // A bare seq sees neither a fork nor another epoch: without the log nobody vouches for what the ring holds there.
    if (request.start.at === 'lastSeq' && !deps.isLogReachable()) throw fail('log_unavailable');

    const place = this.room.enter(request);
    try {
      return await this.holdIn(place, request);
    } finally {
      place.leave();
    }
  }

  private async holdIn(place: PollPlace, request: PollRequest): Promise<PollOutcome> {
    const { deps } = this;
    const cameMs = deps.clock.monotonic();
    const livesMs = heldAtMostMs(request.identity, deps.clock.now());
    const endMs = cameMs + Math.min(request.waitMs, livesMs, this.mostMs);
    const found = await this.whileAway(request, endMs);
    if (found === undefined) return this.unplaced(request);
    const { feed, placed } = found;
    try {
      // Its wait is the whole poll's: what the log took of it is gone.
      const waitMs = Math.max(0, Math.min(request.waitMs, endMs - deps.clock.monotonic()));
      const poll = new HeldPoll(deps, feed, { ...request, waitMs }, placed);
      this.held.add(poll);
      place.held(() => poll.migrate());
      const { mostMs } = this;
      const endSoon = mostMs < Infinity ? deps.wheel.after(mostMs, () => poll.migrate()) : undefined;
      try {
        const outcome = await poll.answered;
        const nowMs = deps.clock.monotonic();
        if (!this.isDraining) this.answeredMs = nowMs;
        deps.onAnswered({ hadEvents: poll.foundAtOnce, waitedMs: nowMs - cameMs });
        return outcome;
      } finally {
        endSoon?.();
        this.held.delete(poll);
      }
    } finally {
      deps.hub.release(request.identity.org);
    }
  }

  /** Every held poll is answered, each at its own moment, and none is cut. Who comes now is held for a second at most. */
  async drain(withinMs: number): Promise<void> {
    this.isDraining = true;
    const answer = (poll: HeldPoll): void => poll.migrate();
    const { clock } = this.deps;
    const placedMs = clock.monotonic() + whileDrainingMs;
    await inTurns([...this.held], withinMs * toldPart, clock, answer, () => this.held.size === 0);
    // Who has just asked the log is told what it says; where it is away, nobody waits for it.
    await until(() => this.waiting.size === 0, placedMs, clock);
    await inSlices(this.waiting, clock, (giveUp) => giveUp());
    const leftMs = this.answeredMs + returnMs - clock.monotonic();
    if (leftMs > 0) await pause(clock, leftMs);
  }

  /** The drain is over: whoever is still held is answered, and who comes now is not held at all. */
  async close(): Promise<void> {
    this.isClosing = true;
    const { clock } = this.deps;
    await inSlices(this.waiting, clock, (giveUp) => giveUp());
    await inSlices(this.held, clock, (poll) => poll.migrate());
  }

  /** For how long a poll that comes now may be kept, whatever it waits for. */
  private get mostMs(): number {
    if (this.isClosing) return 0;
    return this.isDraining ? whileDrainingMs : Number.POSITIVE_INFINITY;
  }

  /**
   * The org's feed, which is to be released, and the poll's place in it. While the log is away, or hangs, a poll with a
   * cursor is held to its wait, then answered with the cursor it came with (undefined here); any other is refused at once.
   */
  private async whileAway(request: PollRequest, endMs: number): Promise<Found | undefined> {
    const { clock } = this.deps;
    for (;;) {
      try {
        return await this.inTime(endMs, this.find(request));
      } catch (error) {
        const isBusy = error instanceof TurnoutError && codes[error.code].status === 503;
        if (!isBusy || error instanceof LogDamaged || request.start.at !== 'cursor') throw error;
        const leftMs = endMs - clock.monotonic();
        if (leftMs <= 0 || leftMs > this.mostMs || request.client.isGone) return undefined;
        await pause(clock, Math.min(retryMs, leftMs));
      }
    }
  }

  private async find({ identity, start }: PollRequest): Promise<Found> {
    const { hub } = this.deps;
    const feed = await hub.acquire(identity.org);
    try {
      return { feed, placed: await feed.place(start) };
    } catch (error) {
      hub.release(identity.org);
      throw error;
    }
  }

  /** What the attempt finds. @throws log_unavailable when it takes longer than the poll may wait, or the node drains. */
  private async inTime(endMs: number, attempt: Promise<Found>): Promise<Found> {
    const { clock, wheel, hub } = this.deps;
    let cancel: Cancel = () => undefined;
    let giveUp: () => void = () => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      giveUp = () => reject(fail('log_unavailable'));
      cancel = wheel.after(Math.min(this.mostMs, Math.max(minLogMs, endMs - clock.monotonic())), giveUp);
    });
    this.waiting.add(giveUp);
    let isTaken = false;
    try {
      const found = await Promise.race([attempt, late]);
      isTaken = true;
      return found;
    } finally {
      cancel();
      this.waiting.delete(giveUp);
      // A feed that is found after the poll was answered must be let go again.
      if (!isTaken)
        attempt.then(
          ({ feed }) => hub.release(feed.org),
          () => undefined,
        );
    }
  }

  private unplaced(request: PollRequest): PollOutcome {
    const { start, identity, assignment, session } = request;
    if (start.at !== 'cursor') throw fail('log_unavailable');
    const due = this.deps.admission.poll(identity, { assignment, session });
    const state = { ...due, at: start.position, hasMore: false, reset: undefined, ephemeral: [] };
    return { chunk: undefined, state };
  }
}
