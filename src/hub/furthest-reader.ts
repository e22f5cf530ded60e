/**
 * How far the furthest reader of this node is behind its log. Every reader has to be looked at for it: in slices, by one walk
 * for all who ask meanwhile, and not again within a second, so that no crowd of scrapers makes it walk without end.
 */
import { SingleFlight } from '../async/single-flight.ts';
import { inSlices } from '../async/slices.ts';
import type { Clock } from '../clock.ts';
import type { Sessions } from './sessions.ts';

const keptMs = 1000;

export class FurthestReader {
  private readonly walks = new SingleFlight<number>();
  private lastEvents = 0;
  private readAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly sessions: Pick<Sessions, 'all'>,
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {}

  /** Events; 0 where everybody has everything. */
  behind(): Promise<number> {
    return this.walks.run('all', () => this.read());
  }

  private async read(): Promise<number> {
    if (this.clock.monotonic() - this.readAtMs < keptMs) return this.lastEvents;
    let most = 0;
    await inSlices(this.sessions.all(), this.clock, (session) => {
      most = Math.max(most, session.behind());
    });
    this.readAtMs = this.clock.monotonic();
    this.lastEvents = most;
    return most;
  }
}
