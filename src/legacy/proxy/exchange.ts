/**
 * A request of a legacy API and the response to it, as the profile reads them. The body is read once, and only for a caller
 * that needs it; the upstream is sent all of it, whatever was read here.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Profile } from '../../../schema/profile.ts';
import { splitOnce } from '../dialect/cursor.ts';
import { type Dialect, type LegacyAsk, type LegacyRequest, LegacyRequestError } from '../dialect/dialect.ts';
import { withinBounds } from '../../json.ts';
import { parseExact } from '../dialect/exact-json.ts';
import { hasBody } from './forwarding.ts';

const maxBytes = 64 * 1024;

export class LegacyExchange {
  private readonly pieces: Buffer[] = [];
  private rest: AsyncIterableIterator<Buffer> | undefined;
  private reading: Promise<string | undefined> | undefined;

  constructor(
    readonly profile: Profile,
    readonly request: IncomingMessage,
    /** To see a client that leaves; only `api.ts` writes to it. */
    readonly response: ServerResponse,
  ) {}

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

  /** The body; undefined past 64 KiB. @throws where the client breaks off */
  text(): Promise<string | undefined> {
    return (this.reading ??= this.readBounded());
  }

  /** Undefined: the profile reads something from the body, and that is too long, past the bounds of JSON, or no JSON. @throws where the client breaks off */
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
    if (this.reading === undefined) return hasBody(this.request) ? this.bytes() : null;
    return this.rest === undefined ? Buffer.concat(this.pieces) : this.stream(this.rest);
  }

  private async readBounded(): Promise<string | undefined> {
    const iterator = this.bytes();
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
    return Buffer.concat(this.pieces).toString('utf8');
  }

  /** Not the stream itself: a reader that stops, undici among them, would destroy it and the client's connection with it. */
  private bytes(): AsyncIterableIterator<Buffer> {
    // No encoding is set: its chunks are bytes.
    return this.request.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  }

  private async *stream(rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    yield* this.pieces.splice(0);
    yield* rest;
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
