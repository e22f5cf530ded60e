/**
 * The crowd's books: what was published against what each member was handed. It knows no network, so that what the page
 * claims as lost or repeated can be tested by itself.
 */
import type { Totals } from '../../clients/demo/state.ts';

/** Longer than any hand-over, drain or backoff of the demo takes. */
const overdueMs = 30_000;

interface Account {
  readonly org: string;
  readonly services: ReadonlySet<string>;
  /** Acknowledged and not handed over yet: seq and when it was acknowledged, in the order of seq. */
  readonly due: Map<number, number>;
  /** Counted as lost for being overdue; the next event that is handed over settles them. */
  readonly givenUp: Set<number>;
  /** Handed over before the publisher heard that the gateway had it. */
  readonly early: Set<number>;
  /** The highest seq that was handed over. An account begins with its first event: a poller starts at "now". */
  highest: number | undefined;
}

export class Ledger {
  private readonly accounts: Account[] = [];
  /** The last seq that a publisher of this org had acknowledged. */
  private readonly acknowledged = new Map<string, number>();
  private published = 0;
  private delivered = 0;
  private lost = 0;
  private repeated = 0;

  /** @returns what to call for each event that the member is handed. */
  open(org: string, services: readonly string[]): (seq: number) => void {
    const account: Account = {
      org,
      services: new Set(services),
      due: new Map(),
      givenUp: new Set(),
      early: new Set(),
      highest: undefined,
    };
    this.accounts.push(account);
    return (seq) => this.receive(account, seq);
  }

  /** A publisher's event was acknowledged. Publishers of one org report in the order of seq. */
  publish(org: string, service: string, seq: number, nowMs: number): void {
    this.published += 1;
    this.acknowledged.set(org, seq);
    for (const account of this.accounts) {
      if (account.org !== org || !account.services.has(service) || account.highest === undefined) continue;
      if (account.early.delete(seq)) this.delivered += 1;
      else if (seq < account.highest) this.lost += 1;
      else account.due.set(seq, nowMs);
    }
  }

  totals(nowMs: number): Totals {
    let underWay = 0;
    for (const { due, givenUp } of this.accounts) {
      for (const [seq, sinceMs] of due) {
        if (nowMs - sinceMs <= overdueMs) break;
        due.delete(seq);
        givenUp.add(seq);
        this.lost += 1;
      }
      underWay += due.size;
    }
    const { published, delivered, lost, repeated } = this;
    return { published, delivered, underWay, lost, repeated };
  }

  private receive(account: Account, seq: number): void {
    if (account.highest !== undefined && seq <= account.highest) {
      this.repeated += 1;
      return;
    }
    account.highest = seq;
    if (account.due.delete(seq)) this.delivered += 1;
    else if (seq > (this.acknowledged.get(account.org) ?? 0)) account.early.add(seq);
    else {
      // Published before its account began, or late, and then not lost after all.
      this.delivered += 1;
      if (account.givenUp.delete(seq)) this.lost -= 1;
    }
    // A client is handed its events in order: what is due before this one will not come.
    for (const before of account.givenUp) if (before < seq) account.givenUp.delete(before);
    for (const before of account.due.keys()) {
      if (before > seq) break;
      account.due.delete(before);
      this.lost += 1;
    }
  }
}
