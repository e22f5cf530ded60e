/**
 * How the stream's frames are written: event frames once for all readers of a group, control frames one by one. The key
 * order is the protocol's (docs/PROTOCOL.md, 8). Everything here returns the bytes that go to the socket, framed.
 */
import { constants, deflateRawSync } from 'node:zlib';
import { type Code, codes, limits } from '../../schema/codes.ts';
import type { MigrateOrder, ResetReason } from '../../schema/frames.ts';
import { encodeCursor, placeOf, type Position } from '../log/cursor.ts';
import type { EphemeralEvent, LogEntry } from '../log/entry.ts';
import type { Form } from '../hub/chunk.ts';

const fin = 0x80;
const rsv1 = 0x40;
const textOpcode = 0x01;

/** A text frame of a server: unmasked, in one piece (RFC 6455, 5.2). */
function textFrame(payload: Buffer, isCompressed: boolean): Buffer {
  const { length } = payload;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame[0] = fin | textOpcode | (isCompressed ? rsv1 : 0);
  if (headerBytes === 2) {
    frame[1] = length;
  } else if (headerBytes === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  payload.copy(frame, headerBytes);
  return frame;
}

/** One message of permessage-deflate without context takeover (RFC 7692, 7.2.1): raw deflate less its last 4 bytes. */
function deflate(payload: Buffer): Buffer {
  return deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

// Small enough that a stalled socket holds little, large enough that a write pays. A larger event goes alone.
const chunkBytes = 32 * 1024;

const comma = Buffer.from(',');

/** `[a,b,c]` without its brackets. */
export function joinJson(items: readonly { readonly json: Buffer }[]): Buffer[] {
  return items.flatMap((item, index) => (index === 0 ? [item.json] : [comma, item.json]));
}

function eventFrame(run: readonly LogEntry[], epoch: string): Buffer {
  const last = run.at(-1);
  if (last === undefined) throw new Error('a frame needs an event');
  const cursor = encodeCursor(placeOf(epoch, last));
  return Buffer.concat([
    Buffer.from(`{"type":"event","service":"${last.service}","events":[`),
    ...joinJson(run),
    Buffer.from(`],"seq":${last.seq},"cursor":"${cursor}"}`),
  ]);
}

/** Consecutive entries of one service, at most as many as a frame may carry. */
function* runs(entries: readonly LogEntry[]): Generator<readonly LogEntry[]> {
  let start = 0;
  for (let index = 1; index <= entries.length; index += 1) {
    const isSame = entries[index]?.service === entries[start]?.service;
    if (isSame && index - start < limits.frameEvents) continue;
    yield entries.slice(start, index);
    start = index;
  }
}

/** @param compressMinBytes payloads of this size and more are deflated; undefined: this peer takes plain frames. */
export function streamForm(compressMinBytes: number | undefined): Form {
  return {
    name: compressMinBytes === undefined ? 'stream' : 'stream-deflate',
    transport: 'websocket',
    maxEvents: limits.frameEvents,
    maxBytes: chunkBytes,
    encode(entries, epoch) {
      const frames: Buffer[] = [];
      let compressedFrames = 0;
      for (const run of runs(entries)) {
        const payload = eventFrame(run, epoch);
        const isLarge = compressMinBytes !== undefined && payload.length >= compressMinBytes;
        const deflated = isLarge ? deflate(payload) : undefined;
        // What doesn't shrink is sent plain: the peer takes either.
        const isCompressed = deflated !== undefined && deflated.length < payload.length;
        if (isCompressed) compressedFrames += 1;
        frames.push(textFrame(isCompressed ? deflated : payload, isCompressed));
      }
      const [only] = frames;
      return { bytes: frames.length === 1 && only ? only : Buffer.concat(frames), compressedFrames };
    },
  };
}

const control = (frame: Record<string, unknown>): Buffer =>
  textFrame(Buffer.from(JSON.stringify(frame)), false);
const iso = (ms: number): string => new Date(ms).toISOString();

export const frames = {
  ack(
    at: Position,
    nowMs: number,
    about: { connection: string; pingMs: number; assignment: number },
  ): Buffer {
    const { seq, epoch } = at;
    const { connection, pingMs, assignment } = about;
    const [cursor, timestamp] = [encodeCursor(at), iso(nowMs)];
    return control({ type: 'ack', seq, cursor, epoch, timestamp, connection, pingMs, assignment });
  },

  ping(at: Position, nowMs: number): Buffer {
    return control({ type: 'ping', timestamp: iso(nowMs), seq: at.seq, cursor: encodeCursor(at) });
  },

  reset(reason: ResetReason, head: Position): Buffer {
    return control({ type: 'reset', reason, seq: head.seq, cursor: encodeCursor(head), epoch: head.epoch });
  },

  migrate(at: Position, { transport, withinMs, reason, assignment }: MigrateOrder): Buffer {
    return control({ type: 'migrate', transport, withinMs, reason, assignment, cursor: encodeCursor(at) });
  },

  reconnect(at: Position, withinMs: number, reason: string): Buffer {
    return control({ type: 'reconnect', withinMs, reason, cursor: encodeCursor(at) });
  },

  published(id: string, seq: number | undefined): Buffer {
    return control({ type: 'published', id, seq });
  },

  error(code: Code, message: string = codes[code].message, ref?: string): Buffer {
    return control({ type: 'error', code, message, ref });
  },

  /** One frame for each service, made once for all readers that are given the same events. */
  ephemeral(events: readonly EphemeralEvent[]): readonly Buffer[] {
    let made = ephemeralFrames.get(events);
    if (made === undefined) {
      made = framesByService(events);
      ephemeralFrames.set(events, made);
    }
    return made;
  },
} as const;

const ephemeralFrames = new WeakMap<readonly EphemeralEvent[], readonly Buffer[]>();

function framesByService(events: readonly EphemeralEvent[]): readonly Buffer[] {
  const services = new Set(events.map(({ service }) => service));
  return [...services].map((name) => {
    const theirs = events.filter(({ service }) => service === name);
    const start = Buffer.from(`{"type":"ephemeral","service":"${name}","events":[`);
    return textFrame(Buffer.concat([start, ...joinJson(theirs), Buffer.from(']}')]), false);
  });
}
