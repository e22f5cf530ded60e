/** Decides by what this node holds now: joins the rules, the flags' evaluation and the node's brakes for `decide`. */
import { type Asked, type Decision, decide } from './decide.ts';
import type { Evaluator } from './evaluator.ts';
import { autoreconnectFlag, transportFlag } from './features.ts';
import type { KillLatch } from './latch.ts';
import { areMovesHeld, featureOf, type Rules } from './rules.ts';
import type { User } from './user.ts';

/** What is assumed of a client that didn't say. */
export const unasked: Asked = { supports: ['websocket', 'long-poll'], override: undefined };

export interface DeciderParts {
  readonly rules: () => Rules | undefined;
  readonly evaluator: Evaluator;
  readonly latch: KillLatch;
  readonly isCapped: boolean;
  readonly allowsOverride: boolean;
}

export class Decider {
  private readonly parts: DeciderParts;

  constructor(parts: DeciderParts) {
    this.parts = parts;
  }

  decide(user: User, asked: Asked = unasked): Decision {
    const { rules, evaluator, latch, isCapped, allowsOverride } = this.parts;
    return decide({
      rules: rules(),
      user,
      asked,
      node: { isCapped, isLatched: latch.isSet, allowsOverride },
      rollout: evaluator.ask(transportFlag, user),
    });
  }

  /** Whether the user's SDK shall reconnect a closed socket by itself. */
  autoreconnect(user: User): boolean {
    const rules = this.parts.rules();
    if (rules === undefined || featureOf(rules, autoreconnectFlag) === undefined) return false;
    return this.parts.evaluator.ask(autoreconnectFlag, user).isIn;
  }

  /** The version of the rules now; 0 while there are none. */
  get assignment(): number {
    return this.parts.rules()?.version ?? 0;
  }

  /** Moves wait: whoever is connected stays, but for a kill. */
  get areMovesHeld(): boolean {
    const rules = this.parts.rules();
    return rules !== undefined && areMovesHeld(rules);
  }
}
