/**
 * The tails of this node on Redis: one subscription for each org that somebody listens to, on the link that its channel
 * belongs to. After every possible loss it compares the org's head with what was heard last, and says `interrupted` only
 * where they differ.
 */
import type { Cancel, Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { OnFault } from '../async/faults.ts';
import { withDeadline } from '../async/deadline.ts';
import { Listeners } from '../async/listeners.ts';
import type { RedisConnection } from '../redis/connections.ts';
import { type ChannelListener, RedisSubscription } from '../redis/subscription.ts';
import type { Position } from './cursor.ts';
import type { Tail, TailMessage } from './event-log.ts';
import { HeadChecks, type HeardOrg } from './redis-heads.ts';
import { orgKeys } from './redis-keys.ts';
import { placeAfter, tailMessageOf } from './redis-wire.ts';

interface OrgTail extends HeardOrg, ChannelListener {
  readonly channel: string;
  readonly subscribers: Listeners<[TailMessage]>;
  /** Told once the channel is heard. */
  readonly waiting: Listeners;
  owner: string;
  link: RedisSubscription;
}

export interface RedisTailOptions {
  readonly connection: RedisConnection;
  readonly clock: Clock;
  readonly prefix: string;
  /** How long a subscribe may take. */
  readonly timeoutMs: number;
  /** Tells this node's probes from others'. */
  readonly nodeId: string;
  readonly publish: (channel: string, text: string) => Promise<unknown>;
  /** The org's head, and its end put off; undefined where it has no log. */
  readonly keep: (org: string) => Promise<Position | undefined>;
  readonly onDeaf: () => void;
  readonly onFault?: OnFault;
  /** @param org whose message or head it was; undefined: a connection's fault */
  readonly onError: (error: unknown, org?: string) => void;
}

const tickMs = 1000;
// Four times the slots of a Cluster: an owner of one slot is found, all but surely.
const probeNames = 65_536;

export class RedisTail {
  private readonly byChannel = new Map<string, OrgTail>();
  private readonly links = new Map<string, RedisSubscription>();
  private readonly heads: HeadChecks;
  private readonly stopTicking: Cancel;

  constructor(private readonly options: RedisTailOptions) {
    const { clock, connection, keep, onError } = options;
    const isReady = (): boolean => connection.isReady;
    this.heads = new HeadChecks({ clock, keep, isReady, onError });
    this.stopTicking = clock.every(tickMs, () => this.tick());
  }

  /** Orgs that somebody listens to. */
  get subscriptions(): number {
    return this.byChannel.size;
  }

  /** What the first read after a tail was opened told: from there on the tail must have heard everything. */
  learnHead(org: string, head: Position): void {
    const tail = this.byChannel.get(this.channelOf(org));
    if (tail !== undefined) tail.heard ??= head;
  }

  /** @throws log_unavailable */
  async open(org: string, listener: (message: TailMessage) => void): Promise<Tail> {
    const tail = this.use(org);
    // Wrapped: one listener may be given twice.
    const remove = tail.subscribers.add((message) => listener(message));
    const close = async (): Promise<void> => {
      remove();
      this.dropUnused(tail);
    };
    try {
      await this.becomesHeard(tail);
    } catch (cause) {
      await close();
      throw fail('log_unavailable', 'the log does not answer a subscribe', { cause });
    }
    return { close };
  }

  close(): void {
    this.stopTicking();
    this.heads.close();
    for (const { subscribers } of this.byChannel.values()) subscribers.clear();
    for (const link of this.links.values()) link.close();
    this.links.clear();
    this.byChannel.clear();
  }

  private channelOf(org: string): string {
    const { prefix, connection } = this.options;
    return orgKeys(prefix, org, connection.target.channelEnd).channel;
  }

  private use(org: string): OrgTail {
    const channel = this.channelOf(org);
    const known = this.byChannel.get(channel);
    if (known !== undefined) return known;
    const owner = this.options.connection.ownerOf(channel);
    if (owner === undefined) throw fail('log_unavailable', 'no node serves this org now');
    const subscribers = new Listeners<[TailMessage]>();
    const tail: OrgTail = {
      org,
      channel,
      subscribers,
      waiting: new Listeners(),
      owner,
      link: this.linkTo(owner),
      heard: undefined,
      places: undefined,
      failures: 0,
      tell: (message) => subscribers.tell(message),
      onMessage: (text) => this.receive(tail, text),
      onHeard: (isAgain) => {
        tail.waiting.tell();
        if (isAgain) this.heads.checkSoon(tail);
      },
    };
    this.byChannel.set(channel, tail);
    this.heads.add(tail);
    tail.link.want(channel, tail);
    return tail;
  }

  private dropUnused(tail: OrgTail): void {
    if (tail.subscribers.size > 0 || this.byChannel.get(tail.channel) !== tail) return;
    this.byChannel.delete(tail.channel);
    this.heads.remove(tail);
    tail.link.unwant(tail.channel);
  }

  private async becomesHeard({ link, channel, waiting }: OrgTail): Promise<void> {
    if (link.hears(channel)) return;
    let forget = (): void => undefined;
    const heard = new Promise<void>((resolve) => {
      forget = waiting.add(resolve);
    });
    const { timeoutMs, clock } = this.options;
    await withDeadline(heard, timeoutMs, 'a subscribe', clock).finally(forget);
  }

  private linkTo(owner: string): RedisSubscription {
    const { connection, clock, publish, onError, onFault } = this.options;
    const known = this.links.get(owner);
    if (known !== undefined) return known;
    const isSharded = connection.target.kind === 'cluster';
    const link = new RedisSubscription({
      open: () => connection.openSubscriber(isSharded ? owner : undefined),
      kind: isSharded ? 'shard' : 'channel',
      clock,
      probe: { channel: this.probeChannel(owner), send: (channel) => publish(channel, 'p') },
      ...(onFault && { onFault }),
      onRefused: (error) => {
        onError(error);
        connection.refreshOwners();
      },
    });
    this.links.set(owner, link);
    return link;
  }

  /** A channel that `owner` serves: on a Cluster its name must fall into one of the owner's slots. */
  private probeChannel(owner: string): string {
    const { connection, prefix, nodeId } = this.options;
    const name = (n: number): string =>
      `${prefix}:{probe-${n}}:${encodeURIComponent(nodeId)}${connection.target.channelEnd}`;
    if (connection.target.kind !== 'cluster') return name(0);
    for (let n = 0; n < probeNames; n += 1) if (connection.ownerOf(name(n)) === owner) return name(n);
    return name(0);
  }

  private receive(tail: OrgTail, text: string): void {
    let message: TailMessage;
    try {
      message = tailMessageOf(text);
    } catch (error) {
      this.options.onError(error, tail.org);
      message = { kind: 'interrupted' };
    }
    const place = placeAfter(message);
    if (place !== undefined) {
      tail.heard = place;
      tail.places?.push(place);
    }
    tail.subscribers.tell(message);
  }

  private tick(): void {
    const { connection, onDeaf } = this.options;
    if (connection.target.kind === 'cluster') this.followOwners();
    for (const [owner, link] of this.links)
      if (link.isIdle) {
        this.links.delete(owner);
        link.close();
      } else if (link.sendProbe()) {
        onDeaf();
      }
    this.heads.tick();
  }

  /** A slot that moved, or a master that was replaced: the channel is heard where it is now, and its head compared. */
  private followOwners(): void {
    for (const tail of this.byChannel.values()) {
      const owner = this.options.connection.ownerOf(tail.channel);
      if (owner === undefined || owner === tail.owner) continue;
      tail.link.unwant(tail.channel);
      tail.owner = owner;
      tail.link = this.linkTo(owner);
      // Compared once more when it is heard: until then what is said there is lost.
      tail.link.want(tail.channel, tail, true);
      this.heads.checkSoon(tail);
    }
  }
}
