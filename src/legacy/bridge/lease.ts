/**
 * Which node bridges a profile: one at a time, by a key in Redis that runs out by itself. Who holds it may act only while
 * its own clock, which a pause does not stop, says that the key still stands.
 */
import type { Clock } from '../../clock.ts';
import type { RedisCommands } from '../../redis/connections.ts';

/**
 * `fresh`: it is ours now, and another node had it last, or none, or Redis has lost what was kept in our turn. `kept`: ours,
 * and nobody else's since we had it. `held`: another node's.
 */
export type LeaseOutcome = 'fresh' | 'kept' | 'held';

export interface Lease {
  /** True while nobody else can hold it. */
  readonly isValid: boolean;
  /** Another number whenever it became ours anew: what began under one turn must not go on under the next. */
  readonly turn: number;
  /** Higher than any node's turn before: the log refuses what comes of an earlier one. Undefined: nobody takes turns. */
  readonly fence: number | undefined;
  /** The node that holds it, as last heard; undefined: none. */
  readonly holder: string | undefined;
  /** Takes or renews it. @throws while Redis is away: it runs out then. */
  take(): Promise<LeaseOutcome>;
  /** This turn is over, whoever has the next. */
  renounce(): void;
  /** Lets another node have it at once. Never throws. */
  release(): Promise<void>;
}

/** The keys of one profile's bridge. `!` is in no org's name, so that the hash tag is nobody else's. */
export interface BridgeKeys {
  readonly lease: string;
  /** Who had the lease last, which of its turns that was, and how many places were kept in it. */
  readonly last: string;
  /** The number of the latest turn. */
  readonly fence: string;
  /** A hash: how far each lane of the source is in the log. */
  readonly checkpoints: string;
  /** There while the source is read. */
  readonly fed: string;
}

export function bridgeKeys(prefix: string, profile: string): BridgeKeys {
  const key = (name: string): string => `${prefix}:{!bridge-${profile}}:${name}`;
  return {
    lease: key('lease'),
    last: key('last'),
    fence: key('fence'),
    checkpoints: key('checkpoints'),
    fed: key('fed'),
  };
}

const leaseMs = 2500;
/** How often it is renewed, and asked for by those who have it not. */
export const renewMs = 500;
// A node's clock and Redis's may run at speeds that differ a little.
const marginMs = 250;

/**
 * `keptIn(last, turn)`: how many places were kept in that turn, as `last` says; nil where another turn came after it. Less
 * than the holder knows of: Redis went back in time, and the log with it.
 */
export const keptInLua = `
local function keptIn(last, turn)
  if not last or string.sub(last, 1, #turn + 1) ~= turn .. ' ' then return nil end
  return tonumber(string.sub(last, #turn + 2))
end`;

/**
 * KEYS lease, last, fence. ARGV holder (`node run`), ms, its turn, places known to be kept in it, the turn that begins where
 * that one is over. A turn is known by both: one whose answer was lost must not be taken for the one before.
 * Returns {1 taken, 2 kept, 0 held; its holder; the turn's number, where it is taken: the time, so that a Redis that went
 * back gives none again}.
 */
const takeLua = `${keptInLua}
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return { 0, held } end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local kept = keptIn(redis.call('GET', KEYS[2]), ARGV[3])
if kept and kept >= tonumber(ARGV[4]) then return { 2, ARGV[1] } end
redis.call('SET', KEYS[2], ARGV[5] .. ' 0')
local time = redis.call('TIME')
local before = tonumber(redis.call('GET', KEYS[3]) or 0)
local fence = string.format('%.0f', math.max(before + 1, time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('SET', KEYS[3], fence)
return { 1, ARGV[1], fence }`;

/** KEYS lease. ARGV holder. */
const releaseLua = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`;

export interface RedisLeaseOptions {
  readonly redis: RedisCommands;
  readonly keys: BridgeKeys;
  readonly clock: Clock;
  readonly nodeId: string;
}

export class RedisLease implements Lease {
  /** Of this run: a node that was started again is another holder. */
  readonly token: string;
  holder: string | undefined;
  turn = 0;
  fence: number | undefined;
  private readonly options: RedisLeaseOptions;
  private asked = 0;
  /** Places of this turn: those that were sent, and how far they are known to be kept. */
  private sent = 0;
  private kept = 0;
  private validUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: RedisLeaseOptions) {
    this.options = options;
    this.token = `${options.nodeId} ${options.clock.id()}`;
  }

  get isValid(): boolean {
    return this.options.clock.monotonic() < this.validUntilMs;
  }

  async take(): Promise<LeaseOutcome> {
    const { redis, keys, clock } = this.options;
    // From before the command was sent: Redis counts from later.
    const untilMs = clock.monotonic() + leaseMs - marginMs;
    this.asked += 1;
    const next = this.asked;
    const turns = [this.turnName, this.kept, `${this.token} ${next}`];
    const args = [takeLua, 3, keys.lease, keys.last, keys.fence, this.token, leaseMs, ...turns];
    const reply = await redis.call('EVAL', args);
    // The shape is the script's own.
    const [answer, holder, fence] = reply as [number, string, string?];
    this.holder = holder.split(' ')[0];
    this.validUntilMs = answer === 0 ? Number.NEGATIVE_INFINITY : untilMs;
    if (answer === 2) return 'kept';
    this.turn = next;
    this.fence = fence === undefined ? undefined : Number(fence);
    this.sent = 0;
    this.kept = 0;
    return answer === 0 ? 'held' : 'fresh';
  }

  /** What the script that keeps a place is told: this turn, how many it knows to be kept, and its own number. */
  sends(): readonly [turn: string, kept: number, number: number] {
    this.sent += 1;
    return [this.turnName, this.kept, this.sent];
  }

  /** That place is kept. */
  keeps([turn, , number]: readonly [turn: string, kept: number, number: number]): void {
    if (turn === this.turnName) this.kept = Math.max(this.kept, number);
  }

  renounce(): void {
    this.validUntilMs = Number.NEGATIVE_INFINITY;
    this.asked += 1;
    this.turn = this.asked;
  }

  private get turnName(): string {
    return `${this.token} ${this.turn}`;
  }

  async release(): Promise<void> {
    this.validUntilMs = Number.NEGATIVE_INFINITY;
    const { redis, keys } = this.options;
    // Away or not: it runs out by itself.
    await redis.call('EVAL', [releaseLua, 1, keys.lease, this.token]).catch(() => undefined);
    this.holder = undefined;
  }
}

/** Without Redis the log is this process's own, and so is its bridge. */
export class LocalLease implements Lease {
  readonly holder: string;
  readonly turn = 0;
  readonly fence = undefined;
  private isTaken = false;

  constructor(nodeId: string) {
    this.holder = nodeId;
  }

  get isValid(): boolean {
    return this.isTaken;
  }

  async take(): Promise<LeaseOutcome> {
    const outcome = this.isTaken ? 'kept' : 'fresh';
    this.isTaken = true;
    return outcome;
  }

  renounce(): void {
    this.isTaken = false;
  }

  async release(): Promise<void> {
    this.isTaken = false;
  }
}
