/**
 * Who may have a poll held: so many on a node, of one user, and from one address. A poll counts from its entry to its answer,
 * whatever it waits for: a log that hangs must not let more of them in.
 */
import { Shares } from '../async/shares.ts';
import { userKey } from '../auth/identity.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { LongPollDeps } from './deps.ts';
import type { PollRequest } from './poll-request.ts';

/** A poll that was let in. */
export interface PollPlace {
  /** It can be answered at any time from now on. */
  held(answer: () => void): void;
  /** Owed once it is answered; harmless afterwards. */
  leave(): void;
}

interface Place extends PollPlace {
  readonly cameMs: number;
  answer: (() => void) | undefined;
}

// Two clients that answer each other's polls by coming back at once do so no faster than this.
const leastHeldMs = 5000;

export class PollRoom {
  private readonly shares: Shares;
  /** The oldest first. */
  private readonly byUser = new Map<string, Set<Place>>();

  constructor(
    private readonly deps: Pick<LongPollDeps, 'maxHeld' | 'maxHeldPerUser' | 'onLimited' | 'traffic'> & {
      readonly clock: Pick<Clock, 'monotonic'>;
    },
  ) {
    this.shares = new Shares(deps.maxHeld);
  }

  /**
   * Lets a poll in. One too many of a user's answers the oldest, without events, where that has been held for a while.
   * @throws overloaded for the node or the address, rate_limited for the user
   */
  enter({ identity, client, form }: PollRequest): PollPlace {
    const { traffic, clock, maxHeldPerUser, onLimited } = this.deps;
    const { network } = client;
    if (!this.shares.hasRoom(network)) {
      onLimited(this.shares.isFull ? 'node' : 'address');
      throw fail('overloaded', 'too many polls are held; try again later');
    }
    const user = userKey(identity);
    const theirs = this.byUser.get(user) ?? new Set();
    if (theirs.size >= maxHeldPerUser) {
      onLimited('user');
      // Another API's poll can be left to its upstream, which is better for all of them than an early answer.
      this.answerOldest(theirs, form === undefined);
    }
    const leave = (): void => {
      if (!theirs.delete(place)) return;
      if (theirs.size === 0 && this.byUser.get(user) === theirs) this.byUser.delete(user);
      this.shares.leave(network);
      traffic.pollsHeld -= 1;
    };
    const held = (answer: () => void): void => {
      place.answer = answer;
    };
    const place: Place = { cameMs: clock.monotonic(), answer: undefined, held, leave };
    this.byUser.set(user, theirs.add(place));
    this.shares.take(network);
    traffic.pollsHeld += 1;
    return place;
  }

  private answerOldest(theirs: ReadonlySet<Place>, mayAnswer: boolean): void {
    const [oldest] = theirs;
    if (oldest === undefined) return;
    const leftMs = oldest.cameMs + leastHeldMs - this.deps.clock.monotonic();
    if (!mayAnswer || oldest.answer === undefined || leftMs > 0) {
      const retryAfterS = Math.max(1, Math.ceil(leftMs / 1000));
      throw fail('rate_limited', 'this user has too many polls held', { retryAfterS });
    }
    oldest.answer();
    // Its answer is written later in this turn of the loop.
    oldest.leave();
  }
}
