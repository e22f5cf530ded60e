/**
 * A hole: a mark in the log where its source has something that the log can't hold. Clients of the old API are not served
 * across one, so that nobody silently misses what the old backend still has.
 */
import { createHash } from 'node:crypto';
import { type PreparedEvent, prepareEvent } from '../../log/entry.ts';

/** A service that no profile and no client has business with. */
export const holeService = 'turnout/hole';

/** @param id the item's own, where it is known: a cursor that names the item then stands behind the hole */
export const holeOf = (id: string): PreparedEvent =>
  prepareEvent({ service: holeService, type: 'turnout.hole', payload: null }, id);

/** The same for an item without an id: by where it stands in the source, so that what is read twice is one hole. */
export const holeAt = (place: string): PreparedEvent =>
  holeOf(`hole-${createHash('sha256').update(place).digest('base64url')}`);
