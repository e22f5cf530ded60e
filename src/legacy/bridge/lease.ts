/**
 * What the nodes share about a profile's bridge: which node has the lease, and in which turn; how far each lane of the source
 * is in the log; whether the source is read. The lease runs out by itself. It only keeps nodes from doing work twice: should
 * two act on it at once, the log refuses the earlier turn and stores each id once.
 */
import type { Clock } from '../../clock.ts';
import type { RedisCommands } from '../../redis/connections.ts';
import { RedisScript } from '../../redis/script.ts';

/**
 * `fresh`: this node's, in a new turn: another node had the lease last, or none, or Redis has lost what was kept in the turn
 * before. `kept`: this node's, and its turn goes on. `held`: another node's.
 */
export type LeaseOutcome = 'fresh' | 'kept' | 'held';

/**
 * `lost`: the lease is another node's, and nothing was written. `rewound`: another position stands there than before, or
 * less was kept than is known, as after a failover that lost what was written last, of the log as well; nothing was written.
 */
export type Kept = 'kept' | 'lost' | 'rewound';

export interface Lease {
  /** True while no other node can hold it. */
  readonly isValid: boolean;
  /** Higher than any node's turn before: the log refuses what comes of an earlier one. Undefined: there are no turns. */
  readonly turn: number | undefined;
  /** The node that holds it, as last heard; undefined: none. */
  readonly holder: string | undefined;
  /** Some node reads the source. While none does, clients would wait for what the log doesn't get. */
  readonly isFed: boolean;
  /** Takes or renews it. @param isReading this node reads the source. @throws while Redis is away: the lease runs out then */
  take(isReading: boolean): Promise<LeaseOutcome>;
  /** Asks whether the source is read, for a node that never takes the lease. @throws while Redis is away */
  look(): Promise<void>;
  /** Ends this turn, whichever node has the next. */
  renounce(): void;
  /** Lets another node have it at once. Never throws. */
  release(): Promise<void>;
  /** Returns the position after which the lane goes on; undefined: at its beginning. @throws while Redis is away */
  position(lane: string): Promise<string | undefined>;
  /** @param previous what was read or kept before. @throws while Redis is away */
  keep(lane: string, position: string, previous: string | undefined): Promise<Kept>;
}

/** The keys of one profile's bridge. `!` is in no org's name, so that the hash tag is nobody else's. */
export function bridgeKeys(prefix: string, profile: string) {
  const key = (name: string): string => `${prefix}:{!bridge-${profile}}:${name}`;
  return {
    lease: key('lease'),
    /** The latest turn, and how many places were kept in it. */
    last: key('last'),
    /** A hash: how far each lane of the source is in the log. */
    checkpoints: key('checkpoints'),
    /** There while the source is read. */
    fed: key('fed'),
  };
}

/** Longer than another node needs to take over from one that ends in order, so that `isFed` stays true meanwhile. */
const leaseMs = 2500;
/** How often it is renewed, and asked for by the other nodes. */
export const renewMs = 500;
// A node's clock and Redis's may run at speeds that differ a little.
const marginMs = 250;

const scripts = {
  take: RedisScript.read(import.meta.url, 'take'),
  keep: RedisScript.read(import.meta.url, 'keep'),
  release: new RedisScript(
    'release',
    `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`,
  ),
};

interface RedisLeaseOptions {
  readonly redis: RedisCommands;
  readonly keys: ReturnType<typeof bridgeKeys>;
  readonly clock: Clock;
  readonly nodeId: string;
}

export class RedisLease implements Lease {
  holder: string | undefined;
  turn: number | undefined;
  /** Of this run: a node that was started again is another holder. */
  private readonly token: string;
  /** Places that are known to be kept in this turn. */
  private kept = 0;
  private validUntilMs = Number.NEGATIVE_INFINITY;
  private fedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: RedisLeaseOptions) {
    this.token = `${options.nodeId} ${options.clock.id()}`;
  }

  get isValid(): boolean {
    return this.options.clock.monotonic() < this.validUntilMs;
  }

  get isFed(): boolean {
    return this.options.clock.monotonic() < this.fedUntilMs;
  }

  async take(isReading: boolean): Promise<LeaseOutcome> {
    const { redis, keys, clock } = this.options;
    // From before the command was sent: Redis counts from later.
    const nowMs = clock.monotonic();
    const asked = this.turn;
    const args = [this.token, leaseMs, asked ?? 0, this.kept, isReading ? 1 : 0];
    const reply = await scripts.take.run(redis, [keys.lease, keys.last, keys.fed], args);
    // The shape is the script's own.
    const [outcome, holder, turn, fed] = reply as [LeaseOutcome, string, string, string | null];
    this.holder = holder.split(' ')[0];
    this.heardFed(fed, nowMs);
    // The turn was renounced while it was renewed: the next `take` begins another.
    if (outcome === 'held' || (outcome === 'kept' && this.turn !== asked)) {
      this.renounce();
      return 'held';
    }
    this.validUntilMs = nowMs + leaseMs - marginMs;
    if (outcome === 'fresh') {
      this.turn = Number(turn);
      this.kept = 0;
    }
    return outcome;
  }

  async look(): Promise<void> {
    const { redis, keys, clock } = this.options;
    const nowMs = clock.monotonic();
    this.heardFed(await redis.call('GET', [keys.fed]), nowMs);
  }

  renounce(): void {
    this.validUntilMs = Number.NEGATIVE_INFINITY;
    this.turn = undefined;
  }

  async release(): Promise<void> {
    this.renounce();
    const { redis, keys } = this.options;
    // Away or not: it runs out by itself.
    await scripts.release.run(redis, [keys.lease], [this.token]).catch(() => undefined);
    this.holder = undefined;
  }

  async position(lane: string): Promise<string | undefined> {
    const { redis, keys } = this.options;
    const position = await redis.call('HGET', [keys.checkpoints, lane]);
    return typeof position === 'string' ? position : undefined;
  }

  async keep(lane: string, position: string, previous = ''): Promise<Kept> {
    const { redis, keys } = this.options;
    const { turn } = this;
    const args = [this.token, turn ?? 0, this.kept, lane, position, previous];
    const reply = await scripts.keep.run(redis, [keys.lease, keys.last, keys.checkpoints], args);
    // The shape is the script's own.
    const [outcome, kept = 0] = reply as [Kept, number?];
    if (outcome === 'kept' && turn === this.turn) this.kept = Math.max(this.kept, kept);
    return outcome;
  }

  private heardFed(fed: unknown, nowMs: number): void {
    this.fedUntilMs = fed === null ? Number.NEGATIVE_INFINITY : nowMs + leaseMs;
  }
}

/** Without Redis the log is this process's own, and so are its bridge and the positions, which last as long. */
export class LocalLease implements Lease {
  readonly holder: string;
  readonly turn = undefined;
  isValid = false;
  isFed = false;
  private readonly positions = new Map<string, string>();

  constructor(nodeId: string) {
    this.holder = nodeId;
  }

  async take(isReading: boolean): Promise<LeaseOutcome> {
    const outcome = this.isValid ? 'kept' : 'fresh';
    this.isValid = true;
    this.isFed = isReading;
    return outcome;
  }

  async look(): Promise<void> {
    // No other node feeds this log.
  }

  renounce(): void {
    this.isValid = false;
  }

  async release(): Promise<void> {
    this.renounce();
  }

  async position(lane: string): Promise<string | undefined> {
    return this.positions.get(lane);
  }

  async keep(lane: string, position: string): Promise<Kept> {
    this.positions.set(lane, position);
    return 'kept';
  }
}
