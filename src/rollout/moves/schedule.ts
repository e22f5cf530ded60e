/** Who waits for their moment, by slots of time: one list a node and no timer a session. */

/** Moments are met up to a slot late, never early. */
export const slotMs = 20;

export class Schedule<T> {
  private readonly slots = new Map<number, Set<T>>();
  private readonly slotOf = new Map<T, number>();
  private next: number;

  constructor(nowMs: number) {
    this.next = Math.floor(nowMs / slotMs);
  }

  get size(): number {
    return this.slotOf.size;
  }

  has(item: T): boolean {
    return this.slotOf.has(item);
  }

  all(): Iterable<T> {
    return this.slotOf.keys();
  }

  /** Forgets everybody and begins at `nowMs`. */
  restart(nowMs: number): void {
    this.slots.clear();
    this.slotOf.clear();
    this.next = Math.floor(nowMs / slotMs);
  }

  /** Who waits already waits for the new moment. */
  add(item: T, dueMs: number): void {
    this.delete(item);
    const slot = Math.max(this.next, Math.ceil(dueMs / slotMs));
    const waiting = this.slots.get(slot);
    if (waiting === undefined) this.slots.set(slot, new Set([item]));
    else waiting.add(item);
    this.slotOf.set(item, slot);
  }

  delete(item: T): void {
    const slot = this.slotOf.get(item);
    if (slot === undefined) return;
    this.slotOf.delete(item);
    const waiting = this.slots.get(slot);
    waiting?.delete(item);
    if (waiting?.size === 0) this.slots.delete(slot);
  }

  /** Takes out whose moment has come. */
  take(nowMs: number): T[] {
    const due: T[] = [];
    const upTo = Math.floor(nowMs / slotMs);
    for (; this.next <= upTo; this.next += 1) {
      const waiting = this.slots.get(this.next);
      this.slots.delete(this.next);
      for (const item of waiting ?? []) {
        this.slotOf.delete(item);
        due.push(item);
      }
    }
    return due;
  }

  /** The moment that an item waits for, rounded up to its slot. */
  dueMs(item: T): number | undefined {
    const slot = this.slotOf.get(item);
    return slot === undefined ? undefined : slot * slotMs;
  }
}
