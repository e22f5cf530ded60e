/**
 * Who was told that they may move up, so that a poll is answered early once for each session and assignment and held as
 * usual after it. Bounded: the oldest are forgotten first, which costs one early answer.
 */
import { type User, userId } from '../rules/user.ts';

export class Announced {
  private readonly max: number;
  private readonly told = new Map<string, number>();

  constructor(max = 100_000) {
    this.max = max;
  }

  /** True the first time for this session (a client without one: this user) and this or a newer assignment. */
  claim(user: User, session: string | undefined, assignment: number): boolean {
    const key = `${userId(user)}/${session ?? ''}`;
    const before = this.told.get(key);
    if (before !== undefined && before >= assignment) return false;
    this.told.delete(key);
    this.told.set(key, assignment);
    if (this.told.size > this.max) {
      const [oldest] = this.told.keys();
      if (oldest !== undefined) this.told.delete(oldest);
    }
    return true;
  }
}
