/**
 * What a batch's items are as events, and which of them go into the log together. Pure.
 *
 * An item that the log can't hold leaves a hole: a mark in its place. Clients of the old API are not served across one, so
 * that nobody silently misses what the old backend still has.
 */
import { createHash } from 'node:crypto';
import { limits } from '../../../schema/codes.ts';
import type { PublishEvent } from '../../../schema/envelope.ts';
import { jsonSize } from '../../json.ts';
import { type PreparedEvent, preparedBytes, prepareEvent } from '../../log/entry.ts';
import { type Dialect, LegacyItemError } from '../dialect/dialect.ts';
import { holeService } from '../dialect/source-entry.ts';
import type { SourceItem } from './source.ts';

const batchEvents = 100;

const bridged = (event: PublishEvent, id: string): PreparedEvent => ({
  ...prepareEvent(event, id),
  isBridged: true,
});

/** @param id the item's own, where it is known: a cursor that names the item then stands behind the hole */
const holeOf = (id: string): PreparedEvent =>
  bridged({ service: holeService, type: 'turnout.hole', payload: null }, id);

/** The same for an item without an id: by where it stands in the source, so that what is read twice is one hole. */
export const holeAt = (place: string): PreparedEvent =>
  holeOf(`hole-${createHash('sha256').update(place).digest('base64url')}`);

/** The event, or a hole and why; without an org there is nowhere to put either. */
export function eventOf(
  dialect: Pick<Dialect, 'eventFrom'>,
  { item, at }: SourceItem,
  batchOrg: string | undefined,
): { readonly org: string | undefined; readonly event: PreparedEvent; readonly why?: string } {
  try {
    const { event, org = batchOrg } = dialect.eventFrom(item);
    if (org === undefined) return { org, event: holeAt(at), why: 'it names no org' };
    const prepared = preparedWhole(event);
    if (typeof prepared !== 'string') return { org, event: prepared };
    return { org, event: holeOf(event.id), why: prepared };
  } catch (error) {
    if (error instanceof LegacyItemError) return { org: batchOrg, event: holeAt(at), why: error.message };
    throw error;
  }
}

/** The event, or why the log can't hold it. */
function preparedWhole(event: PublishEvent & { readonly id: string }): PreparedEvent | string {
  const tooDeep = `an event is nested at most ${limits.jsonDepth} deep`;
  try {
    const prepared = bridged(event, event.id);
    if (preparedBytes(prepared) > limits.eventBytes) return `an event has at most ${limits.eventBytes} bytes`;
    // Deeper ones overflow the stack of whatever writes them for a client, at each poll again.
    return jsonSize(prepared.after).depth > limits.jsonDepth ? tooDeep : prepared;
  } catch (error) {
    // What JSON.parse reads without recursion, JSON.stringify may be too deep for.
    if (error instanceof RangeError) return tooDeep;
    throw error;
  }
}

/** In order, each within what one append may have. */
export function* chunksOf(events: readonly PreparedEvent[]): Generator<readonly PreparedEvent[]> {
  let chunk: PreparedEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    const more = preparedBytes(event);
    if (chunk.length > 0 && (chunk.length >= batchEvents || bytes + more > limits.batchBytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(event);
    bytes += more;
  }
  if (chunk.length > 0) yield chunk;
}
