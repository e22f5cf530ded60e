/** What an operator can do to the rollout: each verb changes the rules, waits for the nodes and says which have followed. */
import type { ChangeAnswer, MoveProgressBody } from '../../schema/admin.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { Fleet } from './fleet/fleet.ts';
import type { KillLatch } from './kill/latch.ts';
import type { Author } from './rules/author.ts';
import { type Stay, stayOf } from './rules/open-changes.ts';
import { endOf, type Kill, type OpenChange } from './rules/rules.ts';
import type { RulesStore } from './rules/store.ts';
import type { LeveledLogger } from '../logger.ts';
import { addKills, kill, type Transition, unkill } from './rules/transitions.ts';

/** How long an answer waits for the nodes. */
const ackWithinMs = 1000;

interface ControlParts {
  readonly store: RulesStore;
  readonly fleet: Fleet;
  readonly latch: KillLatch;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly stay: Stay;
  readonly logger: LeveledLogger;
}

export class RolloutControl {
  private isDelivering = false;

  constructor(private readonly parts: ControlParts) {
    parts.store.onReached(() => void this.deliverKills());
  }

  /** @param expected the version that the author saw. @throws version_conflict */
  async change(transition: Transition, by: Author, expected?: number): Promise<ChangeAnswer> {
    const rules = await this.parts.store.change(transition, by, expected);
    const { version } = rules;
    const made = rules.openChanges.find(({ assignment }) => assignment === version);
    return {
      version,
      written: true,
      ...(await this.followers(version, ackWithinMs)),
      ...(made !== undefined && made.users > 0 && { movesInProgress: [this.announced(made)] }),
    };
  }

  private announced(change: OpenChange): MoveProgressBody {
    const { to, users, kills } = change;
    // The last is told when the window ends; one that doesn't go is closed when its stay is over.
    const stayMs = to === 'long-poll' ? stayOf(this.parts.stay, kills.length > 0) : 0;
    const endMs = endOf(change) + stayMs;
    return {
      from: to === 'websocket' ? 'long-poll' : 'websocket',
      to,
      done: 0,
      left: users,
      etaMs: Math.max(0, Math.round(endMs - this.parts.store.nowMs())),
      doneBy: new Date(endMs).toISOString(),
    };
  }

  /**
   * Stops WebSocket everywhere: on this node before anything is written. Takes no version: a kill never loses a race. What
   * can't be written is `written: false`, and brought to the others when it can.
   */
  async kill(by: Author): Promise<ChangeAnswer> {
    const { clock, latch, store, logger, nodeId } = this.parts;
    const pulled = { id: clock.id(), at: clock.now(), ...by };
    latch.pull(pulled);
    try {
      return await this.change(kill(pulled), by);
    } catch (error) {
      logger.error(
        { err: error, kill: pulled.id, ...by },
        'this node is killed, and the rules could not be written',
      );
      const version = store.current()?.version ?? 0;
      // The others have not heard of it, whatever version they are at.
      const followers = await this.followers(version + 1, 0);
      const laggards = followers.laggards.filter((node) => node !== nodeId);
      return { version, written: false, ...followers, laggards };
    }
  }

  /** Ends every kill that stands. @throws kill_file_present while this node's kill file exists: nothing is changed. */
  async unkill(by: Author, expected?: number): Promise<ChangeAnswer> {
    const { latch, nodeId } = this.parts;
    if (latch.killFile !== undefined)
      throw fail('kill_file_present', `the kill file ${latch.killFile} still stands on node ${nodeId}`);
    // Those heard by now: a kill that comes while this is written must stand.
    const heard = latch.killIds();
    const answer = await this.change(unkill(heard), by, expected);
    latch.release(heard);
    return answer;
  }

  /**
   * Brings kills that could not be written into the rules once the store is reached again, so that one told to a single node
   * while Redis was away holds the others too. Those that were ended meanwhile stay ended.
   */
  private async deliverKills(): Promise<void> {
    const { latch, store, logger } = this.parts;
    const kills = latch.unwritten();
    const [first] = kills;
    if (first === undefined || this.isDelivering) return;
    this.isDelivering = true;
    try {
      const rules = await store.change(addKills(kills), authorOf(first));
      // Those that the rules know as ended are dropped by this, the others take their place in them.
      latch.follow(rules);
      logger.warn({ kills: kills.map(({ id }) => id) }, 'kills heard while the rules were away are in them');
    } catch (error) {
      logger.warn({ err: error }, 'a kill that was heard here is not in the rules yet');
    } finally {
      this.isDelivering = false;
    }
  }

  private async followers(version: number, withinMs: number) {
    const { capped, ...followers } = await this.parts.fleet.acknowledged(version, withinMs);
    return { ...followers, ...(capped.length > 0 && { capped }) };
  }
}

/** Who pulled it; only an older release's kill doesn't say as what. */
const authorOf = ({ by = 'token', who, reason }: Kill): Author => ({ by, who, reason });
