/** A look at an answer that passes through: its head and its first bytes, for whoever compares. Never changes or delays it. */
import { type FlatHeaders, headerRecord } from './forwarding.ts';
import type { LegacyAnswer } from './dialect.ts';

export interface SeenAnswer extends LegacyAnswer {
  /** False: there was more than the bound, or the backend broke off. */
  readonly isWhole: boolean;
}

export interface AnswerTap {
  /** Bytes kept at most; the body as it is on the wire, compressed where the backend compressed it. */
  readonly maxBytes: number;
  /** Once, when the answer has ended; not called where the backend gave none. */
  onAnswer(seen: SeenAnswer): void;
}

export class TappedAnswer {
  private readonly tap: AnswerTap;
  private readonly status: number;
  private readonly headers: FlatHeaders;
  private readonly pieces: Buffer[] = [];
  private bytes = 0;
  private isCut = false;

  constructor(tap: AnswerTap, status: number, headers: FlatHeaders) {
    this.tap = tap;
    this.status = status;
    this.headers = headers;
  }

  take(chunk: Buffer): void {
    if (this.isCut) return;
    const room = this.tap.maxBytes - this.bytes;
    this.isCut = chunk.length > room;
    // A copy: the chunk is a window on a buffer that would be kept alive whole.
    this.pieces.push(Buffer.from(chunk.subarray(0, room)));
    this.bytes += Math.min(chunk.length, room);
  }

  end(isComplete: boolean): void {
    const body = this.bytes === 0 ? undefined : Buffer.concat(this.pieces);
    const { status, tap } = this;
    tap.onAnswer({
      status,
      headers: headerRecord(this.headers),
      body,
      isWhole: isComplete && !this.isCut,
    });
  }
}
