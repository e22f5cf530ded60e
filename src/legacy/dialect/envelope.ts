/** The envelope of an entry of the log, as clients of a legacy API are written it. */
import type { Envelope } from '../../../schema/envelope.ts';
import type { LogEntry } from '../../log/entry.ts';

// Entries are shared by all who read them: each is parsed once.
const envelopes = new WeakMap<LogEntry, Envelope>();

/** An entry as clients see it. */
export function envelopeOf(entry: LogEntry): Envelope {
  let envelope = envelopes.get(entry);
  if (envelope === undefined) {
    // What the log keeps was an envelope when it was appended.
    envelope = JSON.parse(entry.json.toString('utf8')) as Envelope;
    envelopes.set(entry, envelope);
  }
  return envelope;
}
