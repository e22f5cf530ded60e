/**
 * Shares of something bounded: a holder may have no more of it than are left free. So one holder gets at most half, two a
 * third each, and a newcomer always finds room; nobody is kept from what nobody else wants.
 */
export class Shares {
  private readonly byHolder = new Map<string, number>();
  private used = 0;

  constructor(private readonly size: number) {}

  get inUse(): number {
    return this.used;
  }

  get isFull(): boolean {
    return this.used >= this.size;
  }

  /** @param holder undefined: one whom no share binds */
  hasRoom(holder: string | undefined): boolean {
    if (holder === undefined) return !this.isFull;
    return (this.byHolder.get(holder) ?? 0) < this.size - this.used;
  }

  /** Each `take` owes one `leave`. */
  take(holder: string | undefined): void {
    this.used += 1;
    if (holder !== undefined) this.byHolder.set(holder, (this.byHolder.get(holder) ?? 0) + 1);
  }

  leave(holder: string | undefined): void {
    this.used -= 1;
    if (holder === undefined) return;
    const left = (this.byHolder.get(holder) ?? 1) - 1;
    if (left > 0) this.byHolder.set(holder, left);
    else this.byHolder.delete(holder);
  }
}
