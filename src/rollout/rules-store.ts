/** The port of the rules: one document a deployment, changed by compare-and-set, told to every node, with an audit trail. */
import type { AuditEntry } from '../../schema/admin.ts';
import type { Rules } from './rules.ts';
import type { Author, Transition } from './transitions.ts';

export interface Acknowledged {
  /** Version that each node last applied, by node id. */
  readonly acks: Readonly<Record<string, number>>;
  /** Nodes that live and haven't applied the version asked about. */
  readonly laggards: readonly string[];
}

export interface RulesStore {
  /** The newest document that this node holds; undefined until one was read. */
  current(): Rules | undefined;

  /** Reads again, where the document lives elsewhere. Resolves too when it can't be read: `current` then stays as it was. */
  refresh(): Promise<void>;

  /** Calls `listener` with each newer document, in order of version, never twice with one. It must not throw. */
  subscribe(listener: (rules: Rules) => void): () => void;

  /**
   * Applies the transition to the newest document and stores the result, or nothing. Versions: the first is the Unix time in
   * seconds, then max(stored, last known) + 1, so that no restart reuses one. Listeners have been called when it resolves.
   * @param expected the version that the author saw; any other: @throws version_conflict, which tells who was first
   */
  change(transition: Transition, by: Author, expected?: number): Promise<Rules>;

  /** Adds a line to the trail for what isn't a change of the rules. */
  note(entry: Omit<AuditEntry, 'version' | 'at'>): Promise<void>;

  /** The trail, newest first. */
  audit(limit: number): Promise<readonly AuditEntry[]>;

  /** This node decides by `version` now. */
  acknowledge(version: number): void;

  /** Resolves once every living node decides by `version` or a newer one, or after `withinMs` with the laggards named. */
  acknowledged(version: number, withinMs: number): Promise<Acknowledged>;

  close(): Promise<void>;
}
