/** How a poll's answer is written: events once for all readers of a group, the whole body once for all who are told the same. */
import type { ResetReason, Transport } from '../../schema/frames.ts';
import { limits } from '../../schema/codes.ts';
import { encodeCursor, type Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { type Chunk, type Form, type Part, partsFor, sharedLimit } from '../hub/chunk.ts';
import { joinJson } from './frames.ts';

const comma = Buffer.from(',');
// What an answer holds besides its events' JSON: commas between 1,000 of them, the cursor, the other fields.
const envelopeBytes = 4096;

const encode: Form['encode'] = (entries) => ({
  bytes: Buffer.concat(joinJson(entries)),
  compressedFrames: 0,
});

/** @param limit the poll's, by which its answer is cut from what its group is given */
export function pollForm(limit: number): Form {
  const maxEvents = sharedLimit(limit);
  return {
    name: `poll-${maxEvents}`,
    transport: 'long-poll',
    maxEvents,
    maxBytes: limits.pollBytes - envelopeBytes,
    encode,
  };
}

/** What an answer says besides its events. */
export interface PollState {
  readonly at: Position;
  readonly transport: Transport;
  readonly assignment: number;
  readonly hasMore: boolean;
  readonly reset: ResetReason | undefined;
  readonly ephemeral: readonly EphemeralEvent[];
}

/** By the bytes of its only part, which groups share, or by the chunk. */
const bodies = new WeakMap<object, Map<string, Buffer>>();

/** The answer that gives a chunk; one buffer for all readers that are given the same and told the same. */
export function chunkBody(chunk: Chunk, sub: string, state: PollState): Buffer {
  const parts = partsFor(chunk, sub);
  if (!chunk.isShared || state.ephemeral.length > 0) return body(parts, state);
  const [only] = parts.length === 1 ? parts : [];
  const made = bodies.get(only?.bytes ?? chunk) ?? new Map<string, Buffer>();
  bodies.set(only?.bytes ?? chunk, made);
  const { at, transport, assignment, hasMore } = state;
  const key = `${transport}|${assignment}|${hasMore}|${at.seq}|${at.tag}`;
  let bytes = made.get(key);
  if (bytes === undefined) {
    bytes = body(parts, state);
    made.set(key, bytes);
  }
  return bytes;
}

/** The newest ephemeral events that fit beside a chunk into an answer. */
export function fitting(
  ephemeral: readonly EphemeralEvent[],
  chunk: Chunk | undefined,
): readonly EphemeralEvent[] {
  const taken = chunk?.parts.reduce((sum, part) => sum + part.bytes.length, 0) ?? 0;
  let left = limits.pollBytes - envelopeBytes - taken;
  const fit = ephemeral.toReversed().filter(({ json }) => {
    left -= json.length + comma.length;
    return left >= 0;
  });
  return fit.toReversed();
}

/** An answer without events. */
export const emptyBody = (state: PollState): Buffer => body([], state);

function body(parts: readonly Part[], state: PollState): Buffer {
  const { at, transport, assignment, hasMore, reset, ephemeral } = state;
  const pieces: Buffer[] = [Buffer.from('{"events":[')];
  parts.forEach((part, index) => {
    if (index > 0) pieces.push(comma);
    pieces.push(part.bytes);
  });
  if (ephemeral.length > 0) pieces.push(Buffer.from('],"ephemeral":['), ...joinJson(ephemeral));
  const rest = {
    ...(reset === undefined ? {} : { reset: { reason: reset } }),
    ...(hasMore ? { more: true } : {}),
    cursor: encodeCursor(at),
    seq: at.seq,
    epoch: at.epoch,
    transport,
    assignment,
  };
  pieces.push(Buffer.from(`],${JSON.stringify(rest).slice(1)}`));
  return Buffer.concat(pieces);
}
