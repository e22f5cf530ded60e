/** Runs one operation a key at a time: callers that ask for a key while it runs share its promise. */

export class SingleFlight<T> {
  private readonly running = new Map<string, Promise<T>>();

  /** Number of keys whose operation is running. */
  get size(): number {
    return this.running.size;
  }

  has(key: string): boolean {
    return this.running.has(key);
  }

  /** Returns the running promise of `key`, or starts `operation`. Rejects as the operation does; failures are not kept. */
  run(key: string, operation: () => Promise<T>): Promise<T> {
    const known = this.running.get(key);
    if (known !== undefined) return known;
    const started = operation().finally(() => this.running.delete(key));
    this.running.set(key, started);
    return started;
  }
}
