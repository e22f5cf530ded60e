/**
 * What the log's scripts and tails say, as entries and places. An event is kept in lines, because JSON holds no line
 * break: recipients (or nothing), what stands before its timestamp, what follows it.
 */
import { placeOf, type Position } from './cursor.ts';
import { type EphemeralEvent, entryJson, type LogEntry, type PreparedEvent } from './entry.ts';
import type { ReadAnswer, ReadLimits, Start, TailMessage } from './event-log.ts';

/**
 * An event's fields, as append.lua stores them behind the tags. Recipients that begin with a space are a bridged entry's:
 * only this function writes that line, and nodes of an earlier version read the same recipients in it.
 */
export function fieldsOf({ to, before, after, isBridged }: PreparedEvent): string {
  const recipients = to === null && isBridged !== true ? '' : JSON.stringify(to);
  return `${isBridged === true ? ' ' : ''}${recipients}\n${before}\n${after}`;
}

/** @param lines tag, predecessor's tag, recipients, before, after */
function entryOf(seq: number, ms: number, lines: readonly string[]): LogEntry {
  const [tag = '', prevTag = '', recipients = '', before = '', after = ''] = lines;
  // What stands in an entry was written by `fieldsOf`.
  const named = JSON.parse(`{${before}}`) as { id: string; service: string; type: string };
  const to = recipients === '' ? null : (JSON.parse(recipients) as string[] | null);
  const { id, service, type } = named;
  const json = entryJson({ id, service, type, to, before, after }, seq, ms);
  const isBridged = recipients.startsWith(' ');
  return { seq, ms, tag, prevTag, service, type, to, json, ...(isBridged && { isBridged }) };
}

/** An answer of read.lua that is not nil. @throws when it is none. */
export function readAnswerOf(reply: unknown, start: Start, limits: ReadLimits): ReadAnswer {
  // The shape is the script's own: a list of strings.
  const [answer = '', epoch = '', headSeq, headMs, headTag = '', seq, ms, tag = '', ...rows] =
    reply as string[];
  const head = { epoch, seq: Number(headSeq), ms: Number(headMs), tag: headTag };
  switch (answer) {
    case 'expired':
    case 'epoch':
    case 'fork':
    case 'ahead':
      return { kind: 'reset', reason: answer, head };
    case 'page': {
      // The time of the place before the first kept entry is not stored: a cursor may still name it.
      const knownMs = Number(ms) || (start.at === 'cursor' ? start.position.ms : 0);
      const from = { epoch, seq: Number(seq), ms: knownMs, tag };
      return { kind: 'page', from, entries: entriesOf(rows, limits), head };
    }
    default:
      throw new Error(`read.lua answered ${answer}`);
  }
}

function entriesOf(rows: readonly string[], { maxEvents, maxBytes }: ReadLimits): LogEntry[] {
  const entries: LogEntry[] = [];
  let bytes = 0;
  for (let index = 0; index + 1 < rows.length && entries.length < maxEvents; index += 2) {
    const [ms, seq] = (rows[index] ?? '').split('-');
    const entry = entryOf(Number(seq), Number(ms), (rows[index + 1] ?? '').split('\n'));
    bytes += entry.json.length;
    if (bytes > maxBytes && entries.length > 0) break;
    entries.push(entry);
  }
  return entries;
}

/** A head as keep.lua tells it; undefined where the org has no log. */
export function headOf(reply: unknown): Position | undefined {
  if (reply === null) return undefined;
  // The shape is the script's own: a list of strings.
  const [epoch = '', seq, ms, tag = ''] = reply as string[];
  return { epoch, seq: Number(seq), ms: Number(ms), tag };
}

export function ephemeralMessage(events: readonly EphemeralEvent[]): string {
  const lines = ['e'];
  for (const { service, type, to, repeatKey, json } of events)
    lines.push(JSON.stringify([service, type, to, repeatKey]), json.toString('utf8'));
  return lines.join('\n');
}

/** What stands in a tail's message. @throws when it is none of ours. */
export function tailMessageOf(text: string): TailMessage {
  const lines = text.split('\n');
  const [kind, epoch = '', prevSeq, prevMs, prevTag = '', msText] = (lines[0] ?? '').split(' ');
  if (kind === 'e') {
    const events: EphemeralEvent[] = [];
    for (let index = 1; index + 1 < lines.length; index += 2) {
      // As `ephemeralMessage` wrote it.
      const about = JSON.parse(lines[index] ?? '') as [string, string, string[] | null, string];
      const [service, type, to, repeatKey] = about;
      events.push({ service, type, to, repeatKey, json: Buffer.from(lines[index + 1] ?? '') });
    }
    return { kind: 'ephemeral', events };
  }
  if (kind !== 'a') throw new Error('a message on the tail is none of ours');
  const previous = { epoch, seq: Number(prevSeq), ms: Number(prevMs), tag: prevTag };
  const entries: LogEntry[] = [];
  for (let index = 1; index + 4 < lines.length; index += 5)
    entries.push(entryOf(previous.seq + entries.length + 1, Number(msText), lines.slice(index, index + 5)));
  return { kind: 'appended', previous, entries };
}

/** The place that a message brings its org's log to; undefined where it moves nothing. */
export function placeAfter(message: TailMessage): Position | undefined {
  if (message.kind !== 'appended') return undefined;
  const last = message.entries.at(-1);
  if (last === undefined) return message.previous;
  return placeOf(message.previous.epoch, last);
}
