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

  /** Tells all of them, then throws what the first threw that did. */
  tell(...args: A): void {
    let fault: { readonly error: unknown } | undefined;
    for (const listener of this.listeners)
      try {
        listener(...args);
      } catch (error) {
        fault ??= { error };
      }
    if (fault !== undefined) throw fault.error;
  }

  clear(): void {
    this.listeners.clear();
  }
}
