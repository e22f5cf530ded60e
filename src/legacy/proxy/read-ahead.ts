/** A request's body, read before it is passed on: by whoever looks for a cursor in it. What is too long for them goes on whole. */
import type { IncomingMessage } from 'node:http';

const maxBytes = 64 * 1024;

export class ReadAhead {
  private readonly request: IncomingMessage;
  private readonly pieces: Buffer[] = [];
  private rest: AsyncIterator<Buffer> | undefined;
  private reading: Promise<Buffer | undefined> | undefined;

  constructor(request: IncomingMessage) {
    this.request = request;
  }

  /** Undefined past 64 KiB. @throws where the client breaks off */
  read(): Promise<Buffer | undefined> {
    return (this.reading ??= this.readBounded());
  }

  /** All of it for the old backend, what was read and what comes; undefined: nobody has read any. */
  get whole(): Buffer | AsyncIterable<Buffer> | undefined {
    if (this.reading === undefined) return undefined;
    return this.rest === undefined ? Buffer.concat(this.pieces) : this.stream(this.rest);
  }

  private async readBounded(): Promise<Buffer | undefined> {
    // Not closed past the bound: the rest is still to come. No encoding is set: its chunks are bytes.
    const iterator = this.request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
    this.rest = iterator;
    let bytes = 0;
    for (;;) {
      const { done, value } = await iterator.next();
      if (done === true) break;
      this.pieces.push(value);
      bytes += value.length;
      if (bytes > maxBytes) return undefined;
    }
    this.rest = undefined;
    return Buffer.concat(this.pieces);
  }

  private async *stream(rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
    yield* this.pieces.splice(0);
    yield* { [Symbol.asyncIterator]: () => rest };
  }
}
