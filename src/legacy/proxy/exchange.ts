/**
 * A request of a legacy API and the response to it, as the profile reads them. The body is read once, at its client's pace,
 * which has a lower bound; the upstream is sent all of it, whatever was read here.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Profile } from '../../../schema/profile.ts';
import type { Clock } from '../../clock.ts';
import { fail } from '../../errors.ts';
import { splitOnce } from '../dialect/cursor.ts';
import { type Dialect, type LegacyAsk, type LegacyRequest, LegacyRequestError } from '../dialect/dialect.ts';
import { withinBounds } from '../../json.ts';
import { parseExact } from '../dialect/exact-json.ts';
import { hasBody } from './forwarding.ts';

const maxBytes = 64 * 1024;
// What Node reads of a body by itself: to wait for so much of it costs no memory.
const paceBytes = 16 * 1024;

export interface ExchangeOptions {
  /** The client's, as the limits by address count it; undefined where they are off. */
  readonly network: string | undefined;
  /** How long the client may take for each 16 KiB of its body, while it is waited for. */
  readonly bodyMs: number;
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
}

export class LegacyExchange {
  readonly network: string | undefined;
  private readonly pieces: Buffer[] = [];
  private readBytes = 0;
  private isWhole = false;
  private arriving: AsyncGenerator<Buffer> | undefined;
  private reading: Promise<string | undefined> | undefined;

  constructor(
    readonly profile: Profile,
    readonly request: IncomingMessage,
    /** To see a client that leaves; only `api.ts` writes to it. */
    readonly response: ServerResponse,
    private readonly options: ExchangeOptions,
  ) {
    this.network = options.network;
  }

  /** The query, and the headers with lower-case names. */
  get head(): Pick<LegacyRequest, 'query' | 'headers'> {
    const { url = '/', headers } = this.request;
    const flat = Object.entries(headers).map(
      ([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value] as const,
    );
    return {
      query: new URLSearchParams(splitOnce(url, '?')[1]),
      headers: Object.fromEntries(flat),
    };
  }

  /** The body; undefined past 64 KiB. @throws request_timeout; also where the client breaks off */
  text(): Promise<string | undefined> {
    return (this.reading ??= this.readText());
  }

  /**
   * Resolves once the body has come, or 16 KiB of it: a client that has only begun one takes no place from others meanwhile.
   * Undefined: there is nothing to wait for. @throws as `text`
   */
  begun(): Promise<void> | undefined {
    const isWaited = hasBody(this.request) && !this.isWhole && this.readBytes < paceBytes;
    return isWaited ? this.readTo(paceBytes) : undefined;
  }

  /** Undefined: the profile reads something from the body, and that is too long, past the bounds of JSON, or no JSON. @throws as `text` */
  async read(): Promise<LegacyRequest | undefined> {
    const { cursor, wait, limit } = this.profile.request;
    const isInBody = [cursor, wait, limit].some((field) => field?.in === 'body');
    const text = isInBody ? await this.text() : '';
    if (text === '') return { ...this.head, body: undefined };
    try {
      return text === undefined ? undefined : { ...this.head, body: parseExact(withinBounds(text)) };
    } catch {
      return undefined;
    }
  }

  /** The whole body for the upstream, what was read and what comes; null: none. */
  get body(): Buffer | AsyncIterable<Buffer> | null {
    // What was only waited for goes on in the form that it came in, chunks too.
    if (this.isWhole && this.reading !== undefined) return Buffer.concat(this.pieces);
    return hasBody(this.request) ? this.stream() : null;
  }

  private async readText(): Promise<string | undefined> {
    await this.readTo(maxBytes + 1);
    return this.isWhole ? Buffer.concat(this.pieces).toString('utf8') : undefined;
  }

  /** Reads on until the body is whole or so many bytes of it are here. */
  private async readTo(bytes: number): Promise<void> {
    const arriving = (this.arriving ??= this.paced());
    while (this.readBytes < bytes && !this.isWhole) {
      const { done, value } = await arriving.next();
      if (done === true) this.isWhole = true;
      else {
        this.pieces.push(value);
        this.readBytes += value.length;
      }
    }
  }

  /** The body as it comes. @throws request_timeout where its client is slower than it may be */
  private async *paced(): AsyncGenerator<Buffer> {
    const { clock, bodyMs } = this.options;
    // Not the stream itself: a reader that stops, undici among them, would destroy it and the client's connection with it.
    // No encoding is set: its chunks are bytes.
    const bytes = this.request.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
    let leftMs = bodyMs;
    let leftBytes = paceBytes;
    let isArriving = true;
    try {
      for (;;) {
        const beganMs = clock.monotonic();
        isArriving = true;
        const { done, value } = await this.inTime(bytes.next(), leftMs);
        isArriving = false;
        if (done === true) return;
        leftMs -= clock.monotonic() - beganMs;
        leftBytes -= value.length;
        if (leftBytes <= 0) [leftMs, leftBytes] = [bodyMs, paceBytes];
        yield value;
      }
    } finally {
      // Lets Node drop the rest, so that the connection can be used again. It would wait for what doesn't arrive.
      if (!isArriving) await bytes.return?.();
    }
  }

  private inTime<T>(piece: Promise<T>, ms: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(fail('request_timeout'));
      const cancel = this.options.clock.after(Math.max(0, ms), late);
      piece.finally(cancel).then(resolve, reject);
    });
  }

  private async *stream(): AsyncGenerator<Buffer> {
    yield* this.pieces.splice(0);
    yield* (this.arriving ??= this.paced());
  }
}

/** Undefined where the profile's formats refuse the cursor, the wait or the limit. */
export function askedOf(dialect: Dialect, request: LegacyRequest): LegacyAsk | undefined {
  try {
    return dialect.ask(request);
  } catch (thrown) {
    if (thrown instanceof LegacyRequestError) return undefined;
    throw thrown;
  }
}
