/**
 * One connection that subscribes: to one Redis, or to one master of a Cluster. It hears exactly the channels that are
 * wanted of it, through every reconnect; each change goes out by itself, in order, so that no subscribe overtakes its
 * unsubscribe. A probe of its own shows whether it really hears.
 */
import type { Redis } from 'ioredis';
import { type Clock, pause } from '../clock.ts';

export interface LinkOptions {
  readonly redis: Redis;
  readonly clock: Clock;
  /** Sharded pub/sub, as on a Cluster. */
  readonly isSharded: boolean;
  readonly probeChannel: string;
  /** Sends a probe to `probeChannel`. @throws while Redis is away. */
  readonly sendProbe: (channel: string) => Promise<unknown>;
  readonly onMessage: (channel: string, text: string) => void;
  /** The channel is heard from now on. `isAgain`: it was before too, and may have missed something. */
  readonly onHeard: (channel: string, isAgain: boolean) => void;
  /** A subscribe failed; it is tried again. */
  readonly onRefused: (error: unknown) => void;
}

const batch = 500;
const retryMs = 200;
/** A probe that was sent and is not heard for so long: the connection is deaf. */
const deafAfterMs = 3000;

export class RedisLink {
  private readonly options: LinkOptions;
  private readonly wanted = new Set<string>();
  private readonly heard = new Set<string>();
  /** Heard before the connection broke, or by another link. */
  private readonly missed = new Set<string>();
  /** Channels whose subscription may have to change. */
  private readonly pending = new Set<string>();
  private isChanging = false;
  private isClosed = false;
  private probeSentMs: number | undefined;

  constructor(options: LinkOptions) {
    this.options = options;
    const { redis, isSharded } = options;
    redis.on(isSharded ? 'smessage' : 'message', (channel: string, text: string) => {
      if (channel === options.probeChannel) this.probeSentMs = undefined;
      else options.onMessage(channel, text);
    });
    redis.on('ready', () => this.connected());
    redis.on('close', () => this.disconnected());
    this.want(options.probeChannel);
    // Its failure is told by `error`; it tries again by itself.
    redis.connect().catch(() => undefined);
  }

  /** Nothing but its own probe is wanted of it. */
  get isIdle(): boolean {
    return this.wanted.size === 1;
  }

  /** @param isAgain it was heard by another link before */
  want(channel: string, isAgain = false): void {
    this.wanted.add(channel);
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
  probe(): boolean {
    const { clock, probeChannel, sendProbe, redis } = this.options;
    if (!this.heard.has(probeChannel)) return false;
    if (this.probeSentMs !== undefined) {
      if (clock.monotonic() - this.probeSentMs < deafAfterMs) return false;
      this.probeSentMs = undefined;
      redis.disconnect(true);
      return true;
    }
    this.probeSentMs = clock.monotonic();
    // Where the probe could not be sent nothing is known.
    sendProbe(probeChannel).catch(() => {
      this.probeSentMs = undefined;
    });
    return false;
  }

  close(): void {
    this.isClosed = true;
    this.options.redis.disconnect();
  }

  private connected(): void {
    for (const channel of this.wanted) this.pending.add(channel);
    void this.change();
  }

  private disconnected(): void {
    for (const channel of this.heard) if (this.wanted.has(channel)) this.missed.add(channel);
    this.heard.clear();
    this.probeSentMs = undefined;
  }

  private async change(): Promise<void> {
    if (this.isChanging) return;
    this.isChanging = true;
    while (this.pending.size > 0 && !this.isClosed && this.options.redis.status === 'ready')
      await this.changeSome([...this.pending].slice(0, batch));
    this.isChanging = false;
  }

  private async changeSome(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.pending.delete(channel);
    const dropped = channels.filter((channel) => !this.wanted.has(channel) && this.heard.delete(channel));
    const added = channels.filter((channel) => this.wanted.has(channel) && !this.heard.has(channel));
    const outcomes = await Promise.all([this.unsubscribe(dropped), this.subscribe(added)]);
    const failed = outcomes.find((error) => error !== undefined);
    if (failed === undefined || this.isClosed) return;
    this.options.onRefused(failed);
    for (const channel of channels) this.pending.add(channel);
    await pause(this.options.clock, retryMs);
  }

  /** @returns what went wrong, if anything did. */
  private async subscribe(channels: readonly string[]): Promise<unknown> {
    if (channels.length === 0) return undefined;
    const { redis, isSharded } = this.options;
    // Channels of several slots can't share one SSUBSCRIBE.
    const calls = isSharded
      ? channels.map((channel) => ({ of: [channel], done: redis.ssubscribe(channel) }))
      : [{ of: channels, done: redis.subscribe(...channels) }];
    let failure: unknown;
    await Promise.all(
      calls.map(async ({ of, done }) => {
        try {
          await done;
          for (const channel of of) this.nowHeard(channel);
        } catch (error) {
          failure = error;
        }
      }),
    );
    return failure;
  }

  private async unsubscribe(channels: readonly string[]): Promise<unknown> {
    if (channels.length === 0) return undefined;
    const { redis, isSharded } = this.options;
    try {
      if (isSharded) await Promise.all(channels.map((channel) => redis.sunsubscribe(channel)));
      else await redis.unsubscribe(...channels);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  private nowHeard(channel: string): void {
    // A connection that broke meanwhile hears nothing: `connected` asks again.
    if (this.options.redis.status !== 'ready') return;
    this.heard.add(channel);
    const isAgain = this.missed.delete(channel);
    if (this.wanted.has(channel)) this.options.onHeard(channel, isAgain);
  }
}
