/** A set of callbacks that are told of the same event, in the order in which they were added. */

export class Listeners<A extends readonly unknown[] = []> {
  private readonly listeners = new Set<(...args: A) => void>();

  get size(): number {
    return this.listeners.size;
  }

  /** @returns removes the listener again; calling it twice is harmless */
  add(listener: (...args: A) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell(...args: A): void {
    for (const listener of this.listeners) listener(...args);
  }

  clear(): void {
    this.listeners.clear();
  }
}
