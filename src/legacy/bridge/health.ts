/** What a bridge says of itself: its numbers, and one line for `/readyz` that names no payload and no secret. */
import type { Clock } from '../../clock.ts';
import { codeIn } from '../../errors.ts';
import { scrubText } from '../../logger.ts';

export type BridgeCounts = Readonly<BridgeTally['counts']>;

export class BridgeTally {
  /** Totals since the node started. */
  readonly counts = { events: 0, duplicates: 0, badItems: 0, gaps: 0, restarts: 0 };
  lastError: string | undefined;
  private readonly waiting = new Map<string, number>();
  private keptLagMs = 0;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** @param ms the source's time of the oldest item that waits in the lane */
  begins(lane: string, ms: number | undefined): void {
    if (ms !== undefined) this.waiting.set(lane, ms);
  }

  /** @param ms the source's time of the newest item that was kept; undefined where nothing was */
  ends(lane: string, ms: number | undefined): void {
    this.waiting.delete(lane);
    if (ms !== undefined) this.keptLagMs = Math.max(0, this.clock.now() - ms);
  }

  /** What was read and not kept is the next node's. */
  leaves(): void {
    this.waiting.clear();
  }

  get lagSeconds(): number {
    const waiting = [...this.waiting.values()];
    if (waiting.length === 0) return this.keptLagMs / 1000;
    return Math.max(0, this.clock.now() - waiting.reduce((one, other) => Math.min(one, other))) / 1000;
  }
}

/** An error in one line: what a client library says of connections and statuses, never a URL's secrets. */
export function faultText(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  // ioredis names an option of its own here, which no operator can set.
  if (error.name === 'MaxRetriesPerRequestError') return 'the connection to its Redis was lost';
  const code = codeIn(error);
  const cause = error.cause instanceof Error && error.message === '' ? error.cause.message : error.message;
  return scrubText(code === undefined ? cause : `${code}: ${cause}`)
    .replaceAll(/\/\/[^@/\s]*@/g, '//')
    .slice(0, 200);
}
