/** Encodes events for the clients of a legacy API: each event once, for all clients that are given it. */
import { limits } from '../../../schema/codes.ts';
import { type Chunk, type Form, partsFor, sharedLimit } from '../../hub/chunk.ts';
import type { LogEntry } from '../../log/entry.ts';
import type { Dialect } from '../dialect/dialect.ts';
import { envelopeOf } from '../dialect/envelope.ts';
import { entryKinds } from '../dialect/source-entry.ts';

export class LegacyEncoder {
  private readonly written = new WeakMap<LogEntry, string>();
  private readonly forms = new Map<number, Form>();

  private readonly kindOf: ReturnType<typeof entryKinds>;
  private readonly encode: Form['encode'] = (entries) => ({
    bytes: Buffer.from(this.joined(entries)),
    compressedFrames: 0,
  });

  constructor(private readonly dialect: Dialect) {
    this.kindOf = entryKinds(dialect);
  }

  /** How a chunk is encoded of which one answer may hold so many events, or fewer. */
  form(limit: number): Form {
    const maxEvents = sharedLimit(limit);
    const known = this.forms.get(maxEvents);
    if (known !== undefined) return known;
    const form: Form = {
      name: `legacy-${this.dialect.profile.name}-${maxEvents}`,
      transport: 'long-poll',
      maxEvents,
      maxBytes: limits.pollBytes,
      encode: this.encode,
    };
    this.forms.set(maxEvents, form);
    return form;
  }

  /**
   * What `sub` is given of a chunk; undefined where that is nothing.
   * @param isLeft entries at its end that are left out
   * @returns JSON of the events, in order, and the last of them; a piece may be several, separated by commas
   */
  eventsFor(chunk: Chunk, sub: string, isLeft?: (entry: LogEntry) => boolean) {
    const parts = partsFor(chunk, sub).filter(({ bytes }) => bytes.length > 0);
    const all = parts.flatMap(({ entries }) => entries);
    // From the end alone: one of the same kind that stands before the last would not come again behind it.
    const end = all.findLastIndex((entry) => this.json(entry) !== undefined && isLeft?.(entry) !== true);
    const last = all[end];
    if (last === undefined) return undefined;
    const pieces =
      isLeft === undefined
        ? parts.map(({ bytes }) => bytes.toString('utf8'))
        : [this.joined(all.slice(0, end + 1))];
    return { pieces, last };
  }

  private joined(entries: readonly LogEntry[]): string {
    return entries.flatMap((entry) => this.json(entry) ?? []).join(',');
  }

  /** The event in the legacy API's shape; undefined where that API has no such event, and its clients get none. */
  private json(entry: LogEntry): string | undefined {
    const known = this.written.get(entry);
    if (known !== undefined) return known;
    if (this.kindOf(entry) !== 'source') return undefined;
    const envelope = envelopeOf(entry);
    const isOpaque = this.dialect.profile.request.cursor.format === 'opaque';
    // Not from the source: a client that was given it would have no place to come back to.
    if (!isOpaque && this.dialect.cursorOf(envelope) === undefined) return undefined;
    const json = this.dialect.eventJson(envelope);
    this.written.set(entry, json);
    return json;
  }
}
