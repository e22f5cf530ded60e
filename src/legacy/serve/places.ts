/**
 * Where in Turnout's log an old client stands: a cursor of the old API, which is a value kept with an event, as a position.
 * Found only where the log surely has everything after it; who can't be placed so is the old backend's to answer.
 */
import { LRUCache } from 'lru-cache';
import { SingleFlight } from '../../async/single-flight.ts';
import type { Clock } from '../../clock.ts';
import type { Position } from '../../log/cursor.ts';
import type { EventLog } from '../../log/event-log.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { type Missed, PlaceSearch, type Search } from './place-search.ts';
import type { SearchBudget } from './search-budget.ts';

// Of one profile: of the newest asked for.
const maxKnown = 50_000;
// Of values that were not found, the newest asked for; asked again so soon, none is looked for at all.
const maxMissed = 10_000;
const missedMs = 250;

export type Unplaced = 'unknown-cursor' | 'search-limit';

export interface PlacesDeps {
  readonly log: Pick<EventLog, 'read'>;
  readonly dialect: Dialect;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly budget: Pick<SearchBudget, 'run'>;
}

export class Places {
  private readonly known = new LRUCache<string, Position>({ max: maxKnown });
  private readonly missed = new LRUCache<string, Missed & { readonly atMs: number }>({ max: maxMissed });
  private readonly running = new SingleFlight<Position | Unplaced>();
  private readonly inLog: PlaceSearch;

  constructor(private readonly deps: PlacesDeps) {
    this.inLog = new PlaceSearch(deps.log, deps.dialect);
  }

  /** The same as `place`; undefined where there is none. @throws log_unavailable */
  async find(org: string, value: string, user?: string): Promise<Position | undefined> {
    const found = await this.place(org, value, user);
    return typeof found === 'string' ? undefined : found;
  }

  /**
   * The position after the event that `value` names, or what is remembered for this user; a word where the log can't tell, or
   * may not be asked just now.
   * @throws log_unavailable
   */
  async place(org: string, value: string, user?: string): Promise<Position | Unplaced> {
    const key = keyOf(org, value);
    const known =
      (user === undefined ? undefined : this.known.get(keyOf(org, value, user))) ?? this.known.get(key);
    if (known !== undefined) return known;
    const missed = this.missed.get(key);
    if (missed !== undefined && this.deps.clock.monotonic() - missed.atMs < missedMs) return 'unknown-cursor';
    // A hundred clients that were given one answer come back with one cursor.
    const found = await this.running.run(key, () => this.within(org, value, user));
    if (typeof found !== 'string') this.remember(found, org, value);
    return found;
  }

  /**
   * Who was given the event of that value stands here: their next poll need not be searched for. With a user: for that one
   * alone, since nothing of theirs lies between the event and here.
   */
  remember(at: Position, org: string, value: string, user?: string): void {
    this.known.set(keyOf(org, value, user), at);
  }

  /** That place was no longer in the log. */
  forget(org: string, value: string, user: string): void {
    this.known.delete(keyOf(org, value));
    this.known.delete(keyOf(org, value, user));
  }

  /** The value of the next event behind a place; undefined: none, or none nearby. @throws log_unavailable */
  valueAfter(org: string, at: Position): Promise<string | undefined> {
    return this.inLog.valueAfter(org, at);
  }

  private async within(org: string, value: string, user: string | undefined): Promise<Position | Unplaced> {
    const found = await this.deps.budget.run(org, user, async () => {
      const search = await this.inLog.begin(org, value);
      return { found: await this.found(search), reads: search.reads };
    });
    return found ?? 'search-limit';
  }

  private async found(search: Search): Promise<Position | 'unknown-cursor'> {
    const { org, value, head } = search;
    const key = keyOf(org, value);
    const { before, at } = await this.inLog.look(search, this.missed.get(key));
    if (at === undefined) this.missed.set(key, { head, before, atMs: this.deps.clock.monotonic() });
    else this.missed.delete(key);
    return at ?? 'unknown-cursor';
  }
}

// No org has a space in it, and no cursor a line feed.
const keyOf = (org: string, value: string, user?: string): string =>
  user === undefined ? `${org} ${value}` : `${org} ${value}\n${user}`;
