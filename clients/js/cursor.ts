/** Where the client stands in its org's log, and what lies beyond it. Cursors are opaque: only epoch and seq are compared. */
import type { Envelope } from '../../schema/envelope.ts';

/** A place that the server named. */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
  readonly cursor: string;
}

/** The last received place. A cursor that came without its place (negotiate's, the application's) has no epoch yet. */
export type Position =
  | Place
  | { readonly epoch?: undefined; readonly seq?: undefined; readonly cursor: string };

/** True where `place` is of another log than the one that was read until now, and nobody said `reset`. */
export function isForeign(position: Position | undefined, place: Place): boolean {
  return position?.epoch !== undefined && position.epoch !== place.epoch;
}

/** The further of the two: within an epoch a position never goes back. `place` must not be foreign. */
export function advance(position: Position | undefined, place: Place): Position {
  if (position?.seq === undefined || place.seq > position.seq) {
    const { epoch, seq, cursor } = place;
    return { epoch, seq, cursor };
  }
  return position;
}

/**
 * Those of the events that were not handed over yet. Sound because each transport brings everything after its start, in
 * order, and its start is never beyond `position`: whoever brings the next seq first has brought all before it.
 */
export function freshAfter(position: Position | undefined, events: readonly Envelope[]): readonly Envelope[] {
  const seen = position?.seq;
  return seen === undefined ? events : events.filter(({ seq }) => seq === undefined || seq > seen);
}
