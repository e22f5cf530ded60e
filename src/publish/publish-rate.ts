/**
 * How much an end user may publish on this node, by the stream and by HTTP together: events and bytes a second. Backends have
 * no such limit: what a producer's token may write is an org's whole traffic.
 */
import { TokenBuckets } from '../async/token-buckets.ts';
import type { Identity } from '../auth/identity.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';

/** An application that was offline sends what it has kept, all at once: a pause saves up so many seconds' worth. */
const burstS = 10;

type User = Pick<Identity, 'org' | 'sub'>;

export class PublishRate {
  private readonly events: TokenBuckets;
  private readonly bytes: TokenBuckets;

  constructor(options: {
    readonly eventsPerS: number;
    readonly bytesPerS: number;
    readonly clock: Pick<Clock, 'monotonic'>;
  }) {
    const { eventsPerS, bytesPerS, clock } = options;
    this.events = new TokenBuckets({ perSecond: eventsPerS, burst: burstS * eventsPerS, clock });
    this.bytes = new TokenBuckets({ perSecond: bytesPerS, burst: burstS * bytesPerS, clock });
  }

  /** Counts an attempt, which is one event whatever comes of it. @throws rate_limited */
  admit(user: User): void {
    const key = keyOf(user);
    const retryAfterS = Math.max(this.events.waitS(key), this.bytes.waitS(key));
    if (retryAfterS > 0)
      throw fail('rate_limited', `this user publishes too much; the next may come in ${retryAfterS} s`, {
        retryAfterS,
      });
    this.events.spend(key, 1);
  }

  /** Counts what an admitted attempt was found to hold. */
  charge(user: User, events: number, bytes: number): void {
    const key = keyOf(user);
    this.events.spend(key, events - 1);
    this.bytes.spend(key, bytes);
  }
}

// Neither holds a line break.
const keyOf = ({ org, sub }: User): string => `${org}\n${sub}`;
