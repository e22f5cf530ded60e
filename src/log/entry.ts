/**
 * One event between publisher and client. A publisher's event is turned to JSON once, here, before its seq and time are
 * known; the log then only joins the pieces. Nothing downstream parses or writes an event again.
 */
import { createHash } from 'node:crypto';
import type { PublishEvent } from '../../schema/envelope.ts';

/** An event ready to be appended: its JSON but for seq and timestamp. */
export interface PreparedEvent {
  readonly id: string;
  readonly service: string;
  readonly type: string;
  /** The only users who receive it; null: everyone who reads the service. */
  readonly to: readonly string[] | null;
  /** `"id":…,"service":…,"type":…`, what stands between seq and timestamp. */
  readonly before: string;
  /** `,"thread_id":…,"payload":…`, what follows the timestamp. */
  readonly after: string;
  /** Brought by a bridge from a legacy API's own source. No publish sets it, and no field of an event can say it. */
  readonly isBridged?: true;
}

/** An entry as a log keeps it and every feed shares it. */
export interface LogEntry {
  readonly seq: number;
  /** Append time, Unix milliseconds. */
  readonly ms: number;
  /** 48 random bits, base64url. */
  readonly tag: string;
  /** The tag of the entry before it ('' for seq 1), so that the place before the first kept entry can be checked. */
  readonly prevTag: string;
  readonly service: string;
  readonly type: string;
  readonly to: readonly string[] | null;
  /** The envelope, UTF-8 JSON, without `to`. Shared: never written to. */
  readonly json: Buffer;
  readonly isBridged?: true;
}

/** What retention counts of an entry: its JSON, and its recipients as JSON. append.lua counts the same. */
export const retainedBytes = ({ json, to }: Pick<LogEntry, 'json' | 'to'>): number =>
  to === null ? json.length : json.length + Buffer.byteLength(JSON.stringify(to));

/** An event that is delivered live and never stored. */
export interface EphemeralEvent {
  readonly service: string;
  readonly type: string;
  readonly to: readonly string[] | null;
  /** The same for events that say the same of the same user: repeats are thinned by it. */
  readonly repeatKey: string;
  readonly json: Buffer;
}

const known = new Set([
  'id',
  'service',
  'type',
  'thread_id',
  'agent',
  'in_reply_to',
  'meta',
  'payload',
  'to',
  'ephemeral',
  'org',
  'sender',
]);

/** @param sender the `sub` of an end user who published; undefined for a producer. */
export function prepareEvent(event: PublishEvent, id: string, sender?: string): PreparedEvent {
  // Without a prototype, an unknown field named `__proto__` is one like any other.
  const rest: Record<string, unknown> = Object.assign(Object.create(null), {
    thread_id: event.thread_id,
    agent: event.agent,
    in_reply_to: event.in_reply_to,
    meta: event.meta,
    sender,
    payload: event.payload,
  });
  for (const [name, value] of Object.entries(event)) if (!known.has(name)) rest[name] = value;
  return {
    id,
    service: event.service,
    type: event.type,
    to: event.to ?? null,
    before: JSON.stringify({ id, service: event.service, type: event.type }).slice(1, -1),
    after: `,${JSON.stringify(rest).slice(1)}`,
  };
}

/** The envelope of a stored event, once the log has given it a place and a time. */
export function entryJson(event: PreparedEvent, seq: number, ms: number): Buffer {
  return Buffer.from(
    `{"seq":${seq},${event.before},"timestamp":"${new Date(ms).toISOString()}"${event.after}`,
  );
}

/** The event as it is delivered live: its envelope has no seq. */
export function ephemeralOf(event: PreparedEvent, ms: number): EphemeralEvent {
  const { service, type, to, before, after } = event;
  const json = Buffer.from(`{${before},"timestamp":"${new Date(ms).toISOString()}"${after}`);
  // `after` holds the sender and all that was said, but neither id nor time.
  const said = createHash('sha1')
    .update(JSON.stringify([service, type, to]))
    .update(after);
  return { service, type, to, repeatKey: said.digest('base64'), json };
}

/** Size of the event as JSON in UTF-8, for the publish limits; seq and timestamp are not the publisher's. */
export function preparedBytes(event: PreparedEvent): number {
  return Buffer.byteLength(event.before) + Buffer.byteLength(event.after) + 1;
}
