/**
 * Which entries of the log a legacy API's clients may be given or placed by: what its own source brought. Everybody else who
 * may publish could otherwise hand those clients a cursor that skips events. Pure.
 */
import type { Profile } from '../../../schema/profile.ts';
import type { LogEntry } from '../../log/entry.ts';
import type { Dialect } from './dialect.ts';
import { envelopeOf } from './envelope.ts';

/** The service of holes: a mark in the place of what the log could not hold. */
export const holeService = 'turnout/hole';

/**
 * `source`: an event of the legacy API. `hole`: something may be missing here, so no client is served across it. `other`:
 * nothing that a legacy client is concerned with.
 */
export type EntryKind = 'source' | 'hole' | 'other';

/** Returns the service that the profile's bridge appends to; undefined where it has no source. */
export const bridgedServiceOf = ({ source, request }: Pick<Profile, 'source' | 'request'>) =>
  source && (source.service ?? request.services.fixed[0]);

/**
 * Returns how the profile's clients see an entry.
 *
 * An entry without the bridge's mark and without a sender is a producer's, or was bridged by a version of Turnout that knew no
 * mark: nobody can tell which, so it is a hole. Without a source the producer is the legacy API's own backend.
 */
export function entryKinds(dialect: Pick<Dialect, 'profile' | 'cursorOf'>): (entry: LogEntry) => EntryKind {
  const { source, request } = dialect.profile;
  const services: ReadonlySet<string> = new Set(request.services.fixed);
  // The cursors of that format are Turnout's own: no event can forge one.
  const isOpaque = request.cursor.format === 'opaque';
  return (entry) => {
    const isHole = entry.service === holeService;
    if (!isHole && !services.has(entry.service)) return 'other';
    if (entry.isBridged === true) return isHole ? 'hole' : 'source';
    if (isOpaque && !isHole && source === undefined) return 'source';
    const envelope = envelopeOf(entry);
    if (envelope.sender !== undefined) return 'other';
    if (isHole) return 'hole';
    if (isOpaque || source === undefined) return 'source';
    return dialect.cursorOf(envelope) === undefined ? 'other' : 'hole';
  };
}
