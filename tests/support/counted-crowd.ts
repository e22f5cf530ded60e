/** Sessions that tell how many of them were visited in one turn of the event loop, whatever was read of them. */
import type { MigrateOrder, Transport } from '../../schema/frames.ts';
import type { LiveSession, Sessions } from '../../src/hub/sessions.ts';

/** Counts the sessions that are visited before the event loop turns. */
class Turns {
  most = 0;
  now = 0;
  private visited = 0;

  /** Each session calls it once a turn. */
  visit(): void {
    if (this.visited === 0)
      setImmediate(() => {
        this.now += 1;
        this.visited = 0;
      });
    this.visited += 1;
    this.most = Math.max(this.most, this.visited);
  }
}

class CountedSession implements LiveSession {
  readonly session = undefined;
  readonly supports: readonly string[] = [];
  readonly override = undefined;
  readonly sinceMs = 0;
  isMoving = false;
  readonly orders: MigrateOrder[] = [];
  private seenIn = -1;

  constructor(
    private readonly turns: Turns,
    readonly connection: string,
    private readonly user: string,
    private readonly way: Transport,
    private readonly lag: number,
  ) {}

  get org(): string {
    return this.seen('acme');
  }
  get sub(): string {
    return this.seen(this.user);
  }
  get transport(): Transport {
    return this.seen(this.way);
  }
  get cohort() {
    return this.seen(this.way === 'websocket' ? ('canary' as const) : ('control' as const));
  }
  /** Those on long-poll have followed every version, and are not asked to move up. */
  get assignment(): number {
    return this.seen(this.way === 'websocket' ? 1 : Number.MAX_SAFE_INTEGER);
  }
  position(): undefined {
    return this.seen(undefined);
  }
  behind(): number {
    return this.seen(this.lag);
  }
  migrate(order: MigrateOrder): void {
    this.seen(undefined);
    this.isMoving = this.way === 'websocket';
    this.orders.push(order);
  }
  end(): void {
    this.seen(undefined);
  }

  private seen<T>(value: T): T {
    if (this.seenIn !== this.turns.now) {
      this.seenIn = this.turns.now;
      this.turns.visit();
    }
    return value;
  }
}

export interface Crowd {
  readonly members: readonly CountedSession[];
  /** The most sessions that `run` and what it caused visited in a turn of the event loop. */
  mostVisitedBy(run: () => Promise<void>): Promise<number>;
  leave(): void;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Connects so many: every second one by a stream, the others by a held poll; the last is `count` events behind. */
export function gather(sessions: Sessions, count: number): Crowd {
  const turns = new Turns();
  const members = Array.from({ length: count }, (_, at) => {
    const way = at % 2 === 0 ? ('websocket' as const) : ('long-poll' as const);
    return new CountedSession(turns, `c${at}`, `user-${at}`, way, at === count - 1 ? count : 0);
  });
  for (const member of members) sessions.add(member);
  return {
    members,
    async mostVisitedBy(run) {
      await nextTurn();
      turns.most = 0;
      await run();
      return turns.most;
    },
    leave() {
      for (const member of members) sessions.remove(member);
    },
  };
}
