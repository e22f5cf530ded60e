/**
 * A connection that subscribes. It hears exactly the channels that are wanted of it, through every reconnect; changes go
 * out in order, so that no subscribe overtakes its unsubscribe. A probe shows whether the connection really hears.
 */
import type { Redis } from 'ioredis';
import { type OnFault, runEach, uncaught } from '../async/faults.ts';
import { type Clock, pause } from '../clock.ts';

/** `shard`: sharded pub/sub, as on a Cluster. `pattern`: the names that are wanted are PSUBSCRIBE's patterns. */
type SubscriptionKind = 'channel' | 'shard' | 'pattern';

export interface ChannelListener {
  /** @param channel where the message was published: with patterns not the name that is wanted */
  onMessage(text: string, channel: string): void;
  /** The channel is heard from now on. `isAgain`: it was before too, and messages may have been missed. */
  onHeard(isAgain: boolean): void;
}

export interface SubscriptionOptions {
  /** Returns a connection of `openSubscriber`. */
  readonly open: () => Redis;
  /** The connection's node may be gone for good, and another node hears the same: reconnects by a new `open`. */
  readonly mayMove?: boolean;
  readonly kind: SubscriptionKind;
  readonly clock: Clock;
  /** A channel for probes and what publishes to it; without it the probe is a PING. `send` rejects while Redis is away. */
  readonly probe?: { readonly channel: string; readonly send: (channel: string) => Promise<unknown> };
  /** A subscribe or unsubscribe failed; it is tried again. */
  readonly onRefused?: (error: unknown) => void;
  /** The connection broke, or could not be made; it is tried again. */
  readonly onLost?: () => void;
  /** A listener threw. */
  readonly onFault?: OnFault;
}

const batch = 500;
const retryMs = 500;
/** A probe that was sent and is not heard for so long: the connection is deaf. */
const deafAfterMs = 3000;

/** Begins the names of its commands and of what ioredis tells: `ssubscribe`, `sunsubscribe`, `smessage`. */
const prefixes = { channel: '', shard: 's', pattern: 'p' } as const;

export class RedisSubscription {
  private readonly wanted = new Map<string, ChannelListener>();
  private readonly heard = new Set<string>();
  /** Unsubscribes that were sent and not confirmed: the connection may still hear these. */
  private readonly leaving = new Set<string>();
  /** Heard before the connection broke, or by another subscription. */
  private readonly missed = new Set<string>();
  /** Channels whose subscription may have to change. */
  private readonly pending = new Set<string>();
  private redis: Redis;
  private isChanging = false;
  private isClosed = false;
  private probeSentMs: number | undefined;

  constructor(private readonly options: SubscriptionOptions) {
    this.redis = this.connect();
    const { probe } = options;
    if (probe !== undefined)
      this.want(probe.channel, { onMessage: () => (this.probeSentMs = undefined), onHeard: () => undefined });
  }

  /** Nothing but its own probe is wanted of it. */
  get isIdle(): boolean {
    return this.wanted.size === (this.options.probe === undefined ? 0 : 1);
  }

  /** @param isAgain it was heard by another subscription before */
  want(channel: string, listener: ChannelListener, isAgain = false): void {
    this.wanted.set(channel, listener);
    if (isAgain) this.missed.add(channel);
    this.pending.add(channel);
    void this.change();
  }

  unwant(channel: string): void {
    this.wanted.delete(channel);
    this.missed.delete(channel);
    this.pending.add(channel);
    void this.change();
  }

  hears(channel: string): boolean {
    return this.heard.has(channel);
  }

  /** Sends a probe unless one is on its way. True where the last one shows that the connection is deaf: it is rebuilt. */
  sendProbe(): boolean {
    const { clock, probe } = this.options;
    if (probe === undefined ? this.heard.size === 0 : !this.heard.has(probe.channel)) return false;
    if (this.probeSentMs !== undefined) {
      if (clock.monotonic() - this.probeSentMs < deafAfterMs) return false;
      this.probeSentMs = undefined;
      this.redis.disconnect(true);
      return true;
    }
    this.probeSentMs = clock.monotonic();
    const forget = (): void => {
      this.probeSentMs = undefined;
    };
    // Where the probe could not be sent nothing is known.
    if (probe !== undefined) probe.send(probe.channel).catch(forget);
    else this.redis.ping().then(forget, forget);
    return false;
  }

  /** No listener is called afterwards, whatever still comes on the connection. */
  close(): void {
    this.isClosed = true;
    this.wanted.clear();
    this.redis.disconnect();
  }

  private connect(): Redis {
    const { open, mayMove = false, kind, clock, onLost } = this.options;
    const redis = open();
    if (kind === 'pattern')
      redis.on('pmessage', (pattern: string, channel: string, text: string) =>
        this.hear(pattern, text, channel),
      );
    else
      redis.on(`${prefixes[kind]}message`, (channel: string, text: string) =>
        this.hear(channel, text, channel),
      );
    redis.on('ready', () => {
      for (const channel of this.wanted.keys()) this.pending.add(channel);
      void this.change();
    });
    redis.on('close', () => {
      for (const channel of this.heard) if (this.wanted.has(channel)) this.missed.add(channel);
      this.heard.clear();
      this.leaving.clear();
      this.probeSentMs = undefined;
      if (!this.isClosed) this.tell(() => onLost?.());
    });
    if (mayMove)
      redis.once('close', () => {
        redis.disconnect();
        clock.after(retryMs, () => {
          if (!this.isClosed) this.redis = this.connect();
        });
      });
    // Its failure is told by `error`; it tries again by itself.
    redis.connect().catch(() => undefined);
    return redis;
  }

  private async change(): Promise<void> {
    if (this.isChanging) return;
    this.isChanging = true;
    try {
      while (this.pending.size > 0 && !this.isClosed && this.redis.status === 'ready')
        await this.changeSome([...this.pending].slice(0, batch));
    } finally {
      this.isChanging = false;
    }
  }

  private async changeSome(channels: readonly string[]): Promise<void> {
    const { kind, clock, onRefused } = this.options;
    const prefix = prefixes[kind];
    for (const channel of channels) this.pending.delete(channel);
    for (const channel of channels)
      if (!this.wanted.has(channel) && this.heard.delete(channel)) this.leaving.add(channel);
    const dropped = channels.filter((channel) => !this.wanted.has(channel) && this.leaving.has(channel));
    const added = channels.filter((channel) => this.wanted.has(channel) && !this.heard.has(channel));
    const { redis } = this;
    const outcomes = await Promise.allSettled([
      ...this.calls(dropped).map(async (names) => {
        await redis.call(`${prefix}unsubscribe`, ...names);
        for (const channel of names) this.leaving.delete(channel);
      }),
      ...this.calls(added).map(async (names) => {
        await redis.call(`${prefix}subscribe`, ...names);
        for (const channel of names) this.nowHeard(redis, channel);
      }),
    ]);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed === undefined || this.isClosed) return;
    this.tell(() => onRefused?.(failed.reason));
    for (const channel of channels) this.pending.add(channel);
    await pause(clock, retryMs);
  }

  /** Names that one command may have: channels of several slots can't share one SSUBSCRIBE. */
  private calls(names: readonly string[]): readonly (readonly string[])[] {
    if (this.options.kind === 'shard') return names.map((name) => [name]);
    return names.length === 0 ? [] : [names];
  }

  private nowHeard(redis: Redis, channel: string): void {
    // A connection that broke meanwhile hears nothing: 'ready' asks again.
    if (redis !== this.redis || redis.status !== 'ready') return;
    this.heard.add(channel);
    this.leaving.delete(channel);
    this.tell(() => this.wanted.get(channel)?.onHeard(this.missed.delete(channel)));
  }

  private hear(name: string, text: string, channel: string): void {
    this.tell(() => this.wanted.get(name)?.onMessage(text, channel));
  }

  /** What a listener throws would go through the client's parser, and take the replies after it along. */
  private tell(run: () => void): void {
    runEach([run], 'subscription', this.options.onFault ?? uncaught);
  }
}
