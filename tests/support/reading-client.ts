/** A sink for a hub's reader that understands the stream's bytes: what a client would have seen, frame by frame. */
import type { ServerFrame } from '../../schema/frames.ts';
import type { Part } from '../../src/hub/chunk.ts';
import type { Sink } from '../../src/hub/reader.ts';
import type { Position } from '../../src/log/cursor.ts';

export type EventFrame = ServerFrame & { type: 'event' };

export class ReadingClient implements Sink {
  hasRoom = true;
  /** After so many deliveries there is no room, as with a socket that fills up; undefined: never. */
  fillsAfter: number | undefined;
  readonly frames: EventFrame[] = [];
  readonly resets: { reason: string; head: Position }[] = [];
  readonly faults: unknown[] = [];
  ephemerals = 0;

  get seqs(): number[] {
    return this.frames.flatMap((frame) => frame.events.map((event) => event.seq ?? 0));
  }

  deliver(parts: readonly Part[]): void {
    for (const part of parts) this.frames.push(...parseFrames(part.bytes));
    if (this.fillsAfter === undefined) return;
    this.fillsAfter -= 1;
    if (this.fillsAfter <= 0) this.hasRoom = false;
  }

  reset(reason: string, head: Position): void {
    this.resets.push({ reason, head });
  }

  ephemeral(events: readonly unknown[]): void {
    this.ephemerals += events.length;
  }

  fail(fault: unknown): void {
    this.faults.push(fault);
  }
}

/** The payloads of unmasked, uncompressed text frames that follow each other. */
function parseFrames(bytes: Buffer): EventFrame[] {
  const frames: EventFrame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const length =
      short < 126
        ? short
        : short === 126
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
    frames.push(JSON.parse(bytes.subarray(start, start + length).toString()) as EventFrame);
    at = start + length;
  }
  return frames;
}
