/**
 * Who gets which transport, and why: the one decision of the rollout, pure (docs/PROTOCOL.md, 6; cases in flags/cases), and
 * the decider that joins the rules, the flags' evaluation and the node's brakes for it.
 */
import type { Transport } from '../../../schema/frames.ts';
import type { Cohort, Reason } from '../../../schema/http.ts';
import type { KillLatch } from '../kill/latch.ts';
import { autoreconnectFlag, legacyServeFlag, percentOf, transportFlag } from '../rules/features.ts';
import {
  areMovesHeld,
  featureOf,
  isFlagOn,
  isKilled,
  isListed,
  rolloutPercent,
  type Rules,
} from '../rules/rules.ts';
import { bucketCount, type User } from '../rules/user.ts';
import type { Evaluator, RolloutAnswer } from './evaluator.ts';

/** What a client brings to its decision. */
export interface Asked {
  readonly supports: readonly string[];
  readonly override: Transport | undefined;
}

/** What the node adds: its own brakes, and whether the operator lets users choose. */
interface NodeFacts {
  /** The environment holds this node at long-poll. */
  readonly isCapped: boolean;
  /** A kill was heard here, whatever the rules say. */
  readonly isLatched: boolean;
  readonly allowsOverride: boolean;
  /** The rules are older than this node may decide by. */
  readonly areRulesLost: boolean;
}

export interface Decision {
  readonly transport: Transport;
  readonly cohort: Cohort;
  readonly reason: Reason;
  /** The version of the rules it was made by; 0 where there were none. */
  readonly assignment: number;
  /** 0–9999: the user's place in the rollout, in hundredths of a percent. */
  readonly bucket: number;
}

interface Question {
  /** Undefined: none were ever read. */
  readonly rules: Rules | undefined;
  readonly user: User;
  readonly asked: Asked;
  readonly node: NodeFacts;
  /** What the flag's percentage says about the user. */
  readonly rollout: RolloutAnswer;
}

/** The first that holds wins: kill, denylist, unsupported, capped, flag off, allowlist, override, holdback, percent. */
export function decide(question: Question): Decision {
  const { transport, reason } = choose(question);
  return {
    transport,
    cohort: transport === 'websocket' ? 'canary' : 'control',
    reason,
    assignment: question.rules?.version ?? 0,
    bucket: question.rollout.bucket,
  };
}

type Choice = Pick<Decision, 'transport' | 'reason'>;

const stay = (reason: Reason): Choice => ({ transport: 'long-poll', reason });
const rise = (reason: Reason): Choice => ({ transport: 'websocket', reason });

function choose({ rules, user, asked, node, rollout }: Question): Choice {
  if (node.isLatched || (rules !== undefined && isKilled(rules))) return stay('kill-switch');
  if (rules !== undefined && isListed(rules.denylist, user)) return stay('denylist');
  if (!asked.supports.includes('websocket')) return stay('unsupported');
  if (node.isCapped) return stay('node-capped');
  if (rules === undefined || node.areRulesLost) return stay('flags-unavailable');
  if (!isFlagOn(rules)) return stay('flag-off');
  if (isListed(rules.allowlist, user)) return rise('allowlist');
  if (node.allowsOverride && asked.override !== undefined)
    return { transport: asked.override, reason: 'override' };
  if (rollout.bucket >= bucketCount - Math.round(rules.holdback * 100)) return stay('holdback');
  return rollout.isIn ? rise('rollout') : stay('percent');
}

/** What is assumed of a client that didn't say. */
export const unasked: Asked = { supports: ['websocket', 'long-poll'], override: undefined };

interface DeciderParts {
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
  constructor(private readonly parts: DeciderParts) {}

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

  /** Whether a kill holds everybody here, by the rules or by the latch: no decision has another reason then. */
  get isKilled(): boolean {
    const rules = this.parts.rules();
    return this.parts.latch.isSet || (rules !== undefined && isKilled(rules));
  }

  /** Those that this node decides by; undefined: none were ever read. */
  get rules(): Rules | undefined {
    return this.parts.rules();
  }

  /** The version of the rules now; 0 while there are none. */
  get assignment(): number {
    return this.rules?.version ?? 0;
  }

  /** Whether a pause keeps who is connected from following this decision. It never holds a rollback. */
  isHeld({ transport, reason }: Decision): boolean {
    const rules = this.parts.rules();
    if (rules === undefined || !areMovesHeld(rules)) return false;
    if (transport === 'websocket') return true;
    return !ungated.has(reason) && rolloutPercent(rules) > 0;
  }
}
