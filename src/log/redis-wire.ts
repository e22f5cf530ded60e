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

/** What stands in an org's keys was written by something else than a log of Turnout, or is damaged. */
export class Unreadable extends Error {
  constructor(what: string, cause?: unknown) {
    super(`${what} can't be read`, { cause });
    this.name = 'Unreadable';
  }
}

/** @throws Unreadable */
function placeFrom(what: string, epoch: string, seq: unknown, ms: unknown, tag: string): Position {
  const place = { epoch, seq: Number(seq), ms: Number(ms), tag };
  if (!Number.isSafeInteger(place.seq) || !Number.isSafeInteger(place.ms)) throw new Unreadable(what);
  return place;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);

/** @param lines tag, predecessor's tag, recipients, before, after @throws Unreadable */
function entryOf(seq: number, ms: number, lines: readonly string[]): LogEntry {
  const [tag = '', prevTag = '', recipients = '', before = '', after = ''] = lines;
  try {
    // What JSON.parse answers is checked here, where it is used.
    const { id, service, type } = JSON.parse(`{${before}}`) as Record<string, unknown>;
    const to = recipients === '' ? null : (JSON.parse(recipients) as unknown);
    const isNamed = isText(id) && isText(service) && isText(type) && tag !== '';
    const isWhole = after.startsWith(',') && after.endsWith('}');
    if (!isNamed || !isWhole || (to !== null && !isTexts(to)))
      throw new Unreadable(`the entry at seq ${seq}`);
    const json = entryJson({ id, service, type, to, before, after }, seq, ms);
    const isBridged = recipients.startsWith(' ');
    return { seq, ms, tag, prevTag, service, type, to, json, ...(isBridged && { isBridged }) };
  } catch (error) {
    throw error instanceof Unreadable ? error : new Unreadable(`the entry at seq ${seq}`, error);
  }
}

/** An answer of read.lua that is not nil. @throws when it is none. */
export function readAnswerOf(reply: unknown, start: Start, limits: ReadLimits): ReadAnswer {
  // The shape is the script's own: a list of strings.
  const [answer = '', epoch = '', headSeq, headMs, headTag = '', seq, ms, tag = '', ...rows] =
    reply as string[];
  const head = placeFrom('the head', epoch, headSeq, headMs, headTag);
  switch (answer) {
    case 'expired':
    case 'epoch':
    case 'fork':
    case 'ahead':
      return { kind: 'reset', reason: answer, head };
    case 'page': {
      // The time of the place before the first kept entry is not stored: a cursor may still name it.
      const knownMs = Number(ms) || (start.at === 'cursor' ? start.position.ms : 0);
      const from = placeFrom('the start', epoch, seq, knownMs, tag);
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
  return placeFrom('the head', epoch, seq, ms, tag);
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
  const previous = placeFrom('a message', epoch, prevSeq, prevMs, prevTag);
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
