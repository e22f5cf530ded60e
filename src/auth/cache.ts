/**
 * What is known of the newest credentials, by their digests, until its time is up. Two generations: a full one becomes the
 * old one, and what is asked for moves back. Nothing is ever searched for its oldest.
 */

export class DigestCache<T extends { readonly untilMs: number }> {
  private readonly most: number;
  private young = new Map<string, T>();
  private old = new Map<string, T>();

  /** @param most entries, both generations together */
  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.young.size + this.old.size;
  }

  get(digest: string, nowMs: number): T | undefined {
    const found = this.young.get(digest) ?? this.old.get(digest);
    if (found === undefined || found.untilMs <= nowMs) return undefined;
    if (!this.young.has(digest)) this.set(digest, found);
    return found;
  }

  set(digest: string, entry: T): void {
    if (this.young.size >= this.most / 2) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(digest, entry);
  }

  delete(digest: string): void {
    this.young.delete(digest);
    this.old.delete(digest);
  }
}
