/**
 * Ids that stand at the end of an org's log. A crash between an append and its checkpoint repeats one batch; when that is
 * longer ago than the log knows ids for, this is what keeps it from being stored twice.
 */
import { type EventLog, placeOnly, type Start } from '../../log/event-log.ts';
import { envelopeOf } from '../dialect/envelope.ts';

const maxEntries = 1000;
const page = { maxEvents: 200, maxBytes: 1024 * 1024 };

/**
 * Of the newest 1,000 entries, those that a bridge stored of the service: who else published an id first must not keep the
 * source's own event out. @throws log_unavailable
 */
export async function idsAtTail(
  log: Pick<EventLog, 'read'>,
  org: string,
  service: string,
): Promise<Set<string>> {
  const ids = new Set<string>();
  const { head } = await log.read(org, { at: 'head' }, placeOnly);
  const from = Math.max(0, head.seq - maxEntries);
  let start: Start = { at: 'lastSeq', seq: from, epoch: head.epoch };
  for (let seq = from; seq < head.seq; ) {
    const answer = await log.read(org, start, page);
    // Retention has dropped what lies further back, or the log is another by now.
    if (answer.kind === 'reset' && start.at === 'earliest') return ids;
    if (answer.kind === 'reset') {
      start = { at: 'earliest' };
      continue;
    }
    const last = answer.entries.at(-1);
    if (last === undefined) return ids;
    for (const entry of answer.entries)
      if (entry.isBridged === true && entry.service === service) ids.add(envelopeOf(entry).id);
    seq = last.seq;
    start = { at: 'lastSeq', seq, epoch: answer.head.epoch };
  }
  return ids;
}
