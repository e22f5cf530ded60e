/**
 * When a user is due to move (docs/PROTOCOL.md, 9): the same moment on every node that holds the same rules, by the clock of
 * the store. What only this node has heard, a latch, is spread by a window of its own.
 */
import { LRUCache } from 'lru-cache';
import { type Asked, type Decider, type Decision, unasked } from '../decide/decide.ts';
import { killWindowOf, moveWindowOf, type Pace, type PastState, pastStates } from '../rules/open-changes.ts';
import type { OpenChange, Rules } from '../rules/rules.ts';
import { murmur32, type User, userId } from '../rules/user.ts';

/** Something that this node alone has heard of, and its window. */
interface LocalCause {
  readonly key: string;
  readonly sinceMs: number;
  readonly windowMs: number;
}

interface DueTimesParts {
  readonly decider: Decider;
  /** The store's clock, Unix milliseconds. */
  readonly nowMs: () => number;
  /** Of this node: `connected` to it. */
  readonly pace: Pace;
}

/** What these rules say to everybody: made once, and not for each of thousands who are due in the same seconds. */
interface Known {
  readonly rules: Rules;
  readonly past: readonly PastState[];
  /** Kill ids, each with its change while that is open. */
  readonly kills: ReadonlyMap<string, OpenChange | undefined>;
  readonly withoutKills: Rules;
}

/** Due already. */
const atOnce = Number.NEGATIVE_INFINITY;
/** Due once no pause holds it. */
export const held = Number.POSITIVE_INFINITY;

export class DueTimes {
  private known: Known | undefined;
  private readonly announced = new Announced();
  private readonly causes = new Map<string, LocalCause>();
  private ended: LocalCause | undefined;

  constructor(private readonly parts: DueTimesParts) {}

  nowMs(): number {
    return this.parts.nowMs();
  }

  /** Takes what holds this node at long-poll whatever the rules say: the latch's causes, and rules that are lost. */
  hear(latched: readonly string[], areRulesLost: boolean): void {
    const causes = areRulesLost ? [...latched, rulesLost] : latched;
    const { pace, nowMs } = this.parts;
    const { streams, polls } = pace.connected();
    const standing = new Set(causes);
    const before = [...this.causes.keys()];
    for (const key of before) if (!standing.has(key)) this.causes.delete(key);
    // The end of these is heard of here alone: it is spread here alone, too.
    if (standing.size === 0 && before.some((key) => key === rulesLost || key.includes('/')))
      this.ended = { key: `end of ${before.join()}`, sinceMs: nowMs(), windowMs: moveWindowOf(pace, polls) };
    for (const key of causes)
      if (!this.causes.has(key))
        this.causes.set(key, { key, sinceMs: nowMs(), windowMs: killWindowOf(pace, streams) });
  }

  isDue(user: User, decision: Decision, asked: Asked = unasked): boolean {
    return this.dueAtMs(user, decision, asked) <= this.parts.nowMs();
  }

  /**
   * When a connected user follows this decision, Unix milliseconds by the store's clock: `held` while a pause keeps the user
   * from it, `atOnce` where no window does.
   */
  dueAtMs(user: User, decision: Decision, asked: Asked = unasked): number {
    const rules = this.parts.decider.rules;
    if (rules === undefined) return atOnce;
    if (this.parts.decider.isHeld(decision)) return held;
    const { reason, transport } = decision;
    if (reason === 'flags-unavailable') {
      const [dueMs] = this.localDues(user, (key) => key === rulesLost);
      return dueMs ?? atOnce;
    }
    if (reason === 'kill-switch')
      return Math.min(...this.killDues(user, rules), this.beneathKill(user, asked, rules));
    const { ended } = this;
    const isEnding = transport === 'websocket' && ended !== undefined;
    return Math.max(
      this.changeDue(user, asked, transport, rules),
      isEnding ? momentOf(user, ended.key, ended.sinceMs, ended.windowMs) : atOnce,
    );
  }

  /**
   * Whether a held poll of a user who is due on WebSocket is answered early to say so: once for each session and assignment.
   * @param seen the version of the rules that the client has seen; undefined for one that knows none (legacy)
   */
  announce(user: User, session: string | undefined, seen: number | undefined, assignment: number): boolean {
    return seen !== undefined && seen < assignment && this.announced.claim(user, session, assignment);
  }

  /** The earliest open change since which the decision has stayed the same. */
  private changeDue(user: User, asked: Asked, transport: string, rules: Rules): number {
    for (const state of this.knownOf(rules).past)
      if (this.parts.decider.decideIn(state, user, asked).transport !== transport)
        return dueBy(state.change, user);
    return atOnce;
  }

  /** One moment a kill: by its change while that is open, by when this node heard of it while it stands nowhere else. */
  private killDues(user: User, rules: Rules): number[] {
    const { kills } = this.knownOf(rules);
    const dues = [...kills].map(([id, change]) =>
      change === undefined ? atOnce : momentOf(user, id, change.changedAt, change.windowMs),
    );
    return [...dues, ...this.localDues(user, (key) => key !== rulesLost && !kills.has(key))];
  }

  /** A kill must not put off whom the rules beneath it send down sooner. */
  private beneathKill(user: User, asked: Asked, rules: Rules): number {
    const beneath = { rules: this.knownOf(rules).withoutKills, flag: undefined };
    const { transport } = this.parts.decider.decideIn(beneath, user, asked);
    return transport === 'websocket'
      ? Number.POSITIVE_INFINITY
      : this.changeDue(user, asked, transport, rules);
  }

  private knownOf(rules: Rules): Known {
    if (this.known?.rules === rules) return this.known;
    const { kills, openChanges } = rules;
    const changeOf = (id: string): OpenChange | undefined =>
      openChanges.find((change) => change.kills.includes(id));
    this.known = {
      rules,
      past: pastStates(rules),
      kills: new Map(kills.map(({ id }) => [id, changeOf(id)])),
      withoutKills: { ...rules, kills: [] },
    };
    return this.known;
  }

  private localDues(user: User, concerns: (key: string) => boolean): number[] {
    return [...this.causes.values()]
      .filter(({ key }) => concerns(key))
      .map(({ key, sinceMs, windowMs }) => momentOf(user, key, sinceMs, windowMs));
  }
}

/** Remembers which sessions were told that they may move up. The oldest are forgotten first, which costs one early answer. */
export class Announced {
  private readonly told: LRUCache<string, number>;

  constructor(max = 100_000) {
    this.told = new LRUCache({ max });
  }

  /** True the first time for this session (a client without one: this user) and this or a newer assignment. */
  claim(user: User, session: string | undefined, assignment: number): boolean {
    const key = `${userId(user)}/${session ?? ''}`;
    if ((this.told.get(key) ?? 0) >= assignment) return false;
    this.told.set(key, assignment);
    return true;
  }
}

/** The cause that stands while the rules are too old to decide by. */
const rulesLost = 'rules lost';

const dueBy = ({ assignment, kills: [kill], changedAt, windowMs }: OpenChange, user: User): number =>
  momentOf(user, kill ?? String(assignment), changedAt, windowMs);

/** The user's own moment of a window: `since + hash(user, key) × window`. */
export function momentOf(user: User, key: string, sinceMs: number, windowMs: number): number {
  // Another seed than the buckets': who is low in the rollout must not be early in every move.
  return sinceMs + (murmur32(`${key}:${userId(user)}`, dueSeed) / 2 ** 32) * windowMs;
}

const dueSeed = 0x6d6f7665;
