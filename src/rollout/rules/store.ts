/** The port of the rules: one document a deployment, changed by compare-and-set, told to every node, with an audit trail. */
import type { AuditEntry, TrailEntry } from '../../../schema/audit.ts';
import type { Author } from './author.ts';
import type { Rules } from './rules.ts';
import type { Transition } from './transitions.ts';

export interface RulesHealth {
  /** Whether the rules could be read when last tried. */
  readonly isUp: boolean;
  readonly detail: string;
  /** How long ago they were last read, milliseconds; 0 where they live in this process. */
  readonly ageMs: number;
}

export interface RulesStore {
  /** The newest document that this node holds; undefined until one was read. */
  current(): Rules | undefined;

  /** Resolves once the rules were read, or could not be in the time that a start has for it. */
  readonly ready: Promise<void>;

  health(): RulesHealth;

  /** Unix milliseconds by the clock of whatever stores the rules: what due times are told by. */
  nowMs(): number;

  /**
   * Reads again, where the document lives elsewhere: in a single flight, at most four times a second, past that with the
   * next. Resolves too when it can't be read: `current` then stays as it was.
   * @param version what the caller has heard of: a read that is under way will do if it brings that
   */
  refresh(version?: number): Promise<void>;

  /**
   * Calls `listener` with each document that takes the place of an older one, in order of version, never twice with one.
   * Of two with one version the second holds. It must not throw.
   */
  subscribe(listener: (rules: Rules) => void): () => void;

  /** Calls `listener` after each time that the store was reached: what could not be written may be written now. */
  onReached(listener: () => void): () => void;

  /**
   * Applies the transition to the newest document and stores the result, or nothing. Versions: the first is the Unix time in
   * seconds, then max(stored, last known) + 1, so that no restart reuses one. Listeners have been called when it resolves.
   * A transition that has nothing to change gives the rules as they are.
   * @param expected the version that the author saw; any other: @throws version_conflict, which tells who was first
   * @throws log_unavailable while the store is away: nothing is known to be written
   */
  change(transition: Transition, by: Author, expected?: number): Promise<Rules>;

  /** Adds a line to the trail for what isn't a change of the rules. */
  note(entry: Omit<AuditEntry, 'version' | 'at'>): Promise<void>;

  /**
   * The trail, newest first: of the newest some 10,000 entries, or 2,000 of one author.
   * @param before the id of an entry: those that are older than it
   */
  audit(limit: number, before?: string): Promise<readonly TrailEntry[]>;

  close(): void;
}
