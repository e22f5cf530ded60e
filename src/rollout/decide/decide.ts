/** Who gets which transport, and why: the one decision of the rollout, pure (docs/PROTOCOL.md, 6; cases in flags/cases). */
import type { Transport } from '../../../schema/frames.ts';
import type { Cohort, Reason } from '../../../schema/http.ts';
import type { RolloutAnswer } from './evaluator.ts';
import { bucketCount } from '../rules/hash.ts';
import { isFlagOn, isKilled, isListed, type Rules } from '../rules/rules.ts';
import type { User } from '../rules/user.ts';

/** What a client brings to its decision. */
export interface Asked {
  readonly supports: readonly string[];
  readonly override: Transport | undefined;
}

/** What the node adds: its own brakes, and whether the operator lets users choose. */
export interface NodeFacts {
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

export interface Question {
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

interface Choice {
  readonly transport: Transport;
  readonly reason: Reason;
}

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
