/** What an operator can do to the rollout: each verb changes the rules, waits for the nodes and says which have followed. */
import type { CappedNode, ChangeAnswer } from '../../schema/admin.ts';
import type { Clock } from '../clock.ts';
import { fail } from '../errors.ts';
import type { KillLatch } from './latch.ts';
import type { RulesStore } from './rules-store.ts';
import { type Author, kill, type Transition, unkill } from './transitions.ts';

/** How long an answer waits for the nodes. */
const ackWithinMs = 1000;

export interface ControlParts {
  readonly store: RulesStore;
  readonly latch: KillLatch;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly caps: readonly string[];
}

export class RolloutControl {
  private readonly parts: ControlParts;

  constructor(parts: ControlParts) {
    this.parts = parts;
  }

  /** @param expected the version that the author saw. @throws version_conflict */
  async change(transition: Transition, by: Author, expected?: number): Promise<ChangeAnswer> {
    const { version } = await this.parts.store.change(transition, by, expected);
    const { acks, laggards } = await this.parts.store.acknowledged(version, ackWithinMs);
    const capped = this.cappedNodes();
    return { version, written: true, acks, laggards: [...laggards], ...(capped.length > 0 && { capped }) };
  }

  /** Stops WebSocket everywhere: on this node before anything is written. Takes no version: a kill never loses a race. */
  async kill(by: Author): Promise<ChangeAnswer> {
    const { clock, latch } = this.parts;
    const id = clock.id();
    latch.pull(id);
    return this.change(kill({ id, at: clock.now(), ...by }), by);
  }

  /** Ends every kill that stands. @throws kill_file_present while this node's kill file exists: nothing is changed. */
  async unkill(by: Author, expected?: number): Promise<ChangeAnswer> {
    const { latch, nodeId } = this.parts;
    if (latch.killFile !== undefined)
      throw fail('kill_file_present', `the kill file ${latch.killFile} still stands on node ${nodeId}`);
    // Those heard by now: a kill that comes while this is written must stand.
    const heard = latch.killIds();
    const answer = await this.change(unkill, by, expected);
    latch.release(heard);
    return answer;
  }

  /** Nodes that their environment holds at long-poll, and by which variables. */
  cappedNodes(): CappedNode[] {
    const { nodeId, caps } = this.parts;
    return caps.length === 0 ? [] : [{ node: nodeId, variables: [...caps] }];
  }
}
