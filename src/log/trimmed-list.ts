/** A list that grows at its end and is trimmed at its front, both in amortised constant time: `Array.shift` moves every item. */
export class TrimmedList<T> {
  private items: (T | undefined)[] = [];
  private start = 0;

  get length(): number {
    return this.items.length - this.start;
  }

  push(item: T): void {
    this.items.push(item);
  }

  /** @param index 0 is the oldest that is kept. */
  at(index: number): T | undefined {
    return index < 0 ? undefined : this.items[this.start + index];
  }

  dropFirst(count: number): void {
    const end = Math.min(this.start + count, this.items.length);
    // What was dropped must be free to go at once, not only at the next copy.
    this.items.fill(undefined, this.start, end);
    this.start = end;
    if (this.start * 2 < this.items.length) return;
    this.items = this.items.slice(this.start);
    this.start = 0;
  }
}
