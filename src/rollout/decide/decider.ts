/** Decides by what this node holds now: joins the rules, the flags' evaluation and the node's brakes for `decide`. */
import type { Reason } from '../../../schema/http.ts';
import { type Asked, type Decision, decide } from './decide.ts';
import type { Evaluator } from './evaluator.ts';
import { autoreconnectFlag, legacyServeFlag, percentOf, transportFlag } from '../rules/features.ts';
import type { KillLatch } from '../kill/latch.ts';
import { areMovesHeld, featureOf, isKilled, isListed, rolloutPercent, type Rules } from '../rules/rules.ts';
import type { User } from '../rules/user.ts';

/** What is assumed of a client that didn't say. */
export const unasked: Asked = { supports: ['websocket', 'long-poll'], override: undefined };

export interface DeciderParts {
  readonly rules: () => Rules | undefined;
  readonly evaluator: Evaluator;
  readonly latch: KillLatch;
  readonly isCapped: boolean;
  readonly allowsOverride: boolean;
  /** True once the rules are older than this node may decide by; absent: they don't age. */
  readonly areRulesLost?: () => boolean;
}

/** Ways down that no pause holds: brakes, and what an operator says of this user or of everybody. */
const ungated: ReadonlySet<Reason> = new Set<Reason>([
  'kill-switch',
  'denylist',
  'node-capped',
  'flag-off',
  'flags-unavailable',
]);

export class Decider {
  private readonly parts: DeciderParts;

  constructor(parts: DeciderParts) {
    this.parts = parts;
  }

  decide(user: User, asked: Asked = unasked): Decision {
    const { rules, evaluator, latch, isCapped, allowsOverride, areRulesLost } = this.parts;
    return decide({
      rules: rules(),
      user,
      asked,
      node: { isCapped, isLatched: latch.isSet, allowsOverride, areRulesLost: areRulesLost?.() ?? false },
      rollout: evaluator.ask(transportFlag, user),
    });
  }

  /** The same by other rules than this node's, as if it had no brakes. `flag` names the toggle to ask; absent: the flag's own. */
  decideIn(
    { rules, flag = transportFlag }: { readonly rules: Rules; readonly flag?: string | undefined },
    user: User,
    asked: Asked,
  ): Decision {
    const { evaluator, isCapped, allowsOverride } = this.parts;
    const node = { isCapped, isLatched: false, allowsOverride, areRulesLost: false };
    return decide({ rules, user, asked, node, rollout: evaluator.ask(flag, user) });
  }

  /** Whether the user's SDK shall reconnect a closed socket by itself. */
  autoreconnect(user: User): boolean {
    const rules = this.parts.rules();
    if (rules === undefined || featureOf(rules, autoreconnectFlag) === undefined) return false;
    return this.parts.evaluator.ask(autoreconnectFlag, user).isIn;
  }

  /**
   * Whether the user's old API is answered by Turnout in its own words, instead of by the old backend. A kill, a denied user
   * and rules that are lost mean no: the old backend never stopped being able to.
   */
  servesLegacy(user: User): boolean {
    const { rules: read, latch, evaluator, areRulesLost } = this.parts;
    const rules = read();
    if (rules === undefined || latch.isSet || isKilled(rules) || areRulesLost?.() === true) return false;
    if (isListed(rules.denylist, user) || featureOf(rules, legacyServeFlag) === undefined) return false;
    return evaluator.ask(legacyServeFlag, user).isIn;
  }

  /** Whether anybody's is: while nobody's is, nobody need be asked who they are. */
  servesAnyLegacy(): boolean {
    const rules = this.parts.rules();
    const flag = rules && featureOf(rules, legacyServeFlag);
    if (rules === undefined || flag?.enabled !== true || isKilled(rules) || this.parts.latch.isSet)
      return false;
    return percentOf(flag) > 0 || flag.strategies.some(({ name }) => name !== 'flexibleRollout');
  }

  /** The version of the rules now; 0 while there are none. */
  get assignment(): number {
    return this.parts.rules()?.version ?? 0;
  }

  /** A pause stands: moves wait, but for rollbacks. */
  get areMovesHeld(): boolean {
    const rules = this.parts.rules();
    return rules !== undefined && areMovesHeld(rules);
  }

  /** Whether a pause keeps who is connected from following this decision. It never holds a rollback. */
  isHeld({ transport, reason }: Decision): boolean {
    const rules = this.parts.rules();
    if (rules === undefined || !areMovesHeld(rules)) return false;
    if (transport === 'websocket') return true;
    return !ungated.has(reason) && rolloutPercent(rules) > 0;
  }
}
