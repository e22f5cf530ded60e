/** A look at an answer that passes through: its head and its first bytes, for whoever compares. Never changes or delays it. */
import { type FlatHeaders, headerRecord } from './forwarding.ts';
import type { LegacyAnswer } from '../dialect/dialect.ts';

export interface SeenAnswer extends LegacyAnswer {
  /** False: there was more than the bounds, or the backend broke off. */
  readonly isWhole: boolean;
}

/** Memory that all watched answers of a node share: thousands of slow readers may be on the way at once. */
export interface TapRoom {
  leftBytes: number;
}

export interface AnswerTap {
  readonly room: TapRoom;
  /** Bytes kept at most; the body as it is on the wire, compressed where the backend compressed it. */
  readonly maxBytes: number;
  /** Once, when the answer has ended; not called where the backend gave none. */
  onAnswer(seen: SeenAnswer): void;
}

export class TappedAnswer {
  private readonly pieces: Buffer[] = [];
  private bytes = 0;
  private isCut = false;

  constructor(
    private readonly tap: AnswerTap,
    private readonly status: number,
    private readonly headers: FlatHeaders,
  ) {}

  take(chunk: Buffer): void {
    if (this.isCut) return;
    const { maxBytes, room } = this.tap;
    const piece = chunk.subarray(0, maxBytes - this.bytes);
    this.isCut = piece.length < chunk.length || piece.length > room.leftBytes;
    if (this.isCut) return this.forget();
    room.leftBytes -= piece.length;
    // A copy: the chunk is a window on a buffer that would be kept alive whole.
    this.pieces.push(Buffer.from(piece));
    this.bytes += piece.length;
  }

  end(isComplete: boolean): void {
    const { status, tap } = this;
    const body = this.bytes === 0 ? undefined : Buffer.concat(this.pieces);
    this.forget();
    tap.onAnswer({
      status,
      headers: headerRecord(this.headers),
      body,
      isWhole: isComplete && !this.isCut,
    });
  }

  /** Half of one says nothing. */
  private forget(): void {
    this.tap.room.leftBytes += this.bytes;
    this.pieces.length = 0;
    this.bytes = 0;
  }
}
