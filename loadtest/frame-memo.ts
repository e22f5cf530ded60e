/**
 * Reads each distinct frame once. A server that encodes an event once sends the same bytes to everybody, so comparing bytes
 * with the frames read lately checks every delivery for the price of a memcmp.
 */
import { constants, inflateRawSync } from 'node:zlib';

/** What a frame delivered. */
export interface Delivered {
  /** In the order of the frame. */
  readonly seqs: readonly number[];
  /** When each was published, `performance.now()` of the load's process. */
  readonly sentMs: readonly number[];
}

const nothing: Delivered = { seqs: [], sentMs: [] };

// A frame of permessage-deflate lacks the tail of its last block (RFC 7692, 7.2.2).
const deflateTail = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const framesKept = 64;

export class FrameMemo {
  private readonly parse: (text: string) => Delivered;
  private readonly byLength = new Map<number, { bytes: Buffer; delivered: Delivered }[]>();
  private kept = 0;

  /** @param parse what a frame's text says; `nothing` for a frame without events. */
  constructor(parse: (text: string) => Delivered) {
    this.parse = parse;
  }

  read(payload: Buffer, isCompressed: boolean): Delivered {
    const alike = this.byLength.get(payload.length);
    // The newest is the likeliest: frames come to everybody within one turn.
    for (let index = (alike?.length ?? 0) - 1; index >= 0; index -= 1) {
      const one = alike?.[index];
      if (one?.bytes.equals(payload)) return one.delivered;
    }
    const plain = isCompressed
      ? inflateRawSync(Buffer.concat([payload, deflateTail]), { finishFlush: constants.Z_SYNC_FLUSH })
      : payload;
    const delivered = this.parse(plain.toString());
    this.keep(payload, delivered);
    return delivered;
  }

  private keep(payload: Buffer, delivered: Delivered): void {
    if (this.kept >= framesKept) {
      this.byLength.clear();
      this.kept = 0;
    }
    this.kept += 1;
    const alike = this.byLength.get(payload.length) ?? [];
    this.byLength.set(payload.length, alike);
    alike.push({ bytes: Buffer.from(payload), delivered });
  }
}

interface BenchEvent {
  readonly seq: number;
  readonly payload: { readonly sentMs: number };
}

export function deliveredOf(events: readonly BenchEvent[]): Delivered {
  return { seqs: events.map(({ seq }) => seq), sentMs: events.map(({ payload }) => payload.sentMs) };
}

/** A frame of the stream (docs/PROTOCOL.md, 8). */
export function parseStreamFrame(text: string): Delivered {
  const frame = JSON.parse(text) as { type: string; events?: BenchEvent[] };
  return frame.type === 'event' ? deliveredOf(frame.events ?? []) : nothing;
}
