/** What stands in an org's log: ids, in order, read through the log's own port; marks of what it could not hold left out. */
import { holeService } from '../../src/legacy/dialect/source-entry.ts';
import type { EventLog, Start } from '../../src/log/event-log.ts';

export async function idsInLog(log: Pick<EventLog, 'read'>, org: string): Promise<string[]> {
  const ids: string[] = [];
  for (let start: Start = { at: 'earliest' }; ; ) {
    const page = await log.read(org, start, { maxEvents: 1000, maxBytes: 8 * 1024 * 1024 });
    if (page.kind === 'reset') throw new Error(`the log was reset: ${page.reason}`);
    for (const { json, service } of page.entries)
      if (service !== holeService) ids.push((JSON.parse(json.toString()) as { id: string }).id);
    const last = page.entries.at(-1);
    if (last === undefined) return ids;
    start = { at: 'lastSeq', seq: last.seq, epoch: page.head.epoch };
  }
}
