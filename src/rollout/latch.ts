/**
 * This node's own kill switch: the set of causes that hold it at long-poll whatever the rules say. A kill that was heard
 * here works before it is written anywhere, and when it can't be.
 */
import { isKilled, type Rules } from './rules.ts';

export class KillLatch {
  /** Kill ids, each with whether it has stood in the rules: one that has and is gone was undone elsewhere. */
  private readonly kills = new Map<string, { wasInRules: boolean }>();
  private file: string | undefined;
  private readonly listeners = new Set<() => void>();

  get isSet(): boolean {
    return this.kills.size > 0 || this.file !== undefined;
  }

  /** The kill file that stands, by its path. Only its removal clears it. */
  get killFile(): string | undefined {
    return this.file;
  }

  killIds(): readonly string[] {
    return [...this.kills.keys()];
  }

  causes(): readonly string[] {
    return [...this.killIds(), ...(this.file === undefined ? [] : [this.file])];
  }

  /** Calls `listener` whenever the latch falls or opens. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  pull(killId: string): void {
    this.changing(() => this.kills.set(killId, { wasInRules: false }));
  }

  /** Forgets these kills; others, and a kill file, stand. */
  release(killIds: readonly string[]): void {
    this.changing(() => {
      for (const id of killIds) this.kills.delete(id);
    });
  }

  /** Takes over the document's kills, and drops those that stood in it and are gone. */
  follow(rules: Rules): void {
    this.changing(() => {
      const standing = new Set(rules.kills.map(({ id }) => id));
      for (const [id, { wasInRules }] of this.kills)
        if (wasInRules && !standing.has(id)) this.kills.delete(id);
      if (isKilled(rules)) for (const id of standing) this.kills.set(id, { wasInRules: true });
    });
  }

  /** @param path where the kill file stands; undefined: it doesn't. */
  setKillFile(path: string | undefined): void {
    this.changing(() => {
      this.file = path;
    });
  }

  private changing(change: () => void): void {
    const before = this.isSet;
    change();
    if (this.isSet !== before) for (const listener of this.listeners) listener();
  }
}
