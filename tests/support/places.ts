/** Places of a profile's legacy clients over a log, with room enough to look for every cursor. */
import { systemClock } from '../../src/clock.ts';
import type { Dialect } from '../../src/legacy/dialect/dialect.ts';
import { Places, type PlacesDeps } from '../../src/legacy/serve/places.ts';
import { SearchBudget } from '../../src/legacy/serve/search-budget.ts';

export const placesFor = (log: PlacesDeps['log'], dialect: Dialect, more: Partial<PlacesDeps> = {}): Places =>
  new Places({
    log,
    dialect,
    clock: systemClock,
    budget: new SearchBudget({ clock: systemClock, readsPerS: 1e6 }),
    ...more,
  });
