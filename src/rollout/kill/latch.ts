/**
 * This node's own kill switch: the set of causes that hold it at long-poll whatever the rules say. A kill that was heard
 * here works before it is written anywhere, and when it can't be.
 */
import { Listeners } from '../../async/listeners.ts';
import type { Kill, Rules } from '../rules/rules.ts';

export class KillLatch {
  /** By id, each with whether it has stood in the rules: one that has and is gone was undone elsewhere. */
  private readonly kills = new Map<string, { readonly kill: Kill; readonly wasInRules: boolean }>();
  private file: string | undefined;
  private readonly listeners = new Listeners();

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
    return this.listeners.add(listener);
  }

  pull(kill: Kill): void {
    this.changing(() => this.kills.set(kill.id, { kill, wasInRules: false }));
  }

  /** Kills heard here that the rules have never been seen to hold. */
  unwritten(): readonly Kill[] {
    return [...this.kills.values()].filter(({ wasInRules }) => !wasInRules).map(({ kill }) => kill);
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
      const ended = new Set(rules.unkilled);
      // Ended ids besides: a kill that was written, and ended, before this node ever read it as standing.
      for (const [id, { wasInRules }] of this.kills)
        if (!standing.has(id) && (wasInRules || ended.has(id))) this.kills.delete(id);
      for (const kill of rules.kills) this.kills.set(kill.id, { kill, wasInRules: true });
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
    if (this.isSet !== before) this.listeners.tell();
  }
}
