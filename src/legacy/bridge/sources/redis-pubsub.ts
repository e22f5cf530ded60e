/**
 * A Redis channel as a source. Lossy by nature: what is published while nobody listens, or past the buffer while the log
 * is away, is gone, and each such time counts as a gap.
 */
import type { ProfileSource } from '../../../../schema/profile.ts';
import type { Clock } from '../../../clock.ts';
import { openRedis } from '../../../redis/connections.ts';
import { RedisSubscription } from '../../../redis/subscription.ts';
import type { Source, SourceFeed, SourceItem } from '../source.ts';
import { type OrgPattern, orgPattern } from './org-pattern.ts';

type PubsubSource = Extract<ProfileSource, { kind: 'redis-pubsub' }>;

interface Heard {
  readonly channel: string;
  readonly text: string;
  readonly ms: number;
}

const timeoutMs = 5000;
const probeMs = 2000;
const maxHeard = 10_000;
const maxHeardBytes = 16 * 1024 * 1024;
const batchItems = 100;
// A channel has no place to go on from; under this lane stands that there was a listener.
const listened = 'listened';
const unheard = 'the subscription was made anew: what was published meanwhile went unheard';

export class RedisPubsubSource implements Source {
  private readonly pattern: OrgPattern;
  private heard: Heard[] = [];
  private heardBytes = 0;
  private count = 0;
  private wake: () => void = () => undefined;

  constructor(
    private readonly source: PubsubSource,
    private readonly clock: Clock,
  ) {
    this.pattern = orgPattern(source.channel);
  }

  async run(feed: SourceFeed): Promise<void> {
    const { clock } = this;
    const { url, channel } = this.source;
    // Of another time of listening: who bridged in between has had them.
    this.heard = [];
    this.heardBytes = 0;
    let fault: Error | undefined;
    const connection = openRedis({ url, clock, timeoutMs, onError: (error) => (fault ??= error) });
    const { pattern } = this;
    const subscription = new RedisSubscription({
      open: () => connection.openSubscriber(),
      mayMove: connection.target.kind === 'cluster',
      kind: pattern.hasOrg ? 'pattern' : 'channel',
      clock,
      onRefused: (error) => feed.failed(error),
      onFault: (_where, error) => feed.failed(error),
      onLost() {
        feed.failed(fault ?? new Error('the subscription was cut'));
        fault = undefined;
      },
    });
    subscription.want(pattern.hasOrg ? pattern.glob : channel, {
      onMessage: (text, name) => this.hear(feed, name, text),
      onHeard: (isAgain) => {
        if (isAgain) feed.gap(unheard);
        // Not waited for: while Turnout's Redis is away messages are heard all the same.
        else void this.tellEarlier(feed).catch(() => undefined);
        feed.worked();
      },
    });
    // A connection that a router has forgotten looks well until it is asked something.
    const stopProbing = clock.every(probeMs, () => subscription.sendProbe());
    try {
      await this.handOn(feed);
    } finally {
      stopProbing();
      subscription.close();
      connection.close();
    }
  }

  /** Somebody listened before, another node or an earlier run: between the two nobody did. Rejects when the feed ends. */
  private async tellEarlier(feed: SourceFeed): Promise<void> {
    if ((await feed.position(listened)) !== undefined) feed.gap(unheard);
    else await feed.take({ lane: listened, org: undefined, items: [], position: 'once' });
  }

  private hear(feed: SourceFeed, channel: string, text: string): void {
    const heard = { channel, text, ms: this.clock.now() };
    this.heard.push(heard);
    this.heardBytes += text.length;
    let dropped = 0;
    while (this.heard.length > maxHeard || this.heardBytes > maxHeardBytes) {
      this.heardBytes -= this.heard.shift()?.text.length ?? 0;
      dropped += 1;
    }
    if (dropped > 0) feed.gap('more was published than could wait for the log', dropped);
    this.wake();
  }

  /** In the order of hearing, one batch at a time, over every reconnect. */
  private async handOn(feed: SourceFeed): Promise<void> {
    const { pattern } = this;
    const stop = (): void => this.wake();
    feed.signal.addEventListener('abort', stop);
    while (!feed.signal.aborted) {
      const [first] = this.heard;
      if (first === undefined) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        continue;
      }
      const others = this.heard.slice(0, batchItems).findIndex(({ channel }) => channel !== first.channel);
      const batch = this.heard.splice(0, others < 0 ? batchItems : others);
      const items = batch.map(({ text, ms }): SourceItem => {
        this.heardBytes -= text.length;
        this.count += 1;
        return { item: text, at: `${first.channel} message ${this.count}`, ms };
      });
      const org = pattern.orgOf(first.channel);
      // A channel whose name holds no org, where the form asks for one, is none of this source's.
      if (pattern.hasOrg && org === undefined && this.source.org === undefined) continue;
      await feed
        .take({ lane: first.channel, org, items, position: undefined })
        // It rejects when the feed ends: what is left was never promised.
        .catch(() => undefined);
    }
    feed.signal.removeEventListener('abort', stop);
  }
}
