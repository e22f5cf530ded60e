/**
 * What a profile means, as pure functions: the old API's request read, its answer written, and read back. Everything that
 * serves, compares, bridges or checks speaks the old API through this.
 */
import type { Envelope, PublishEvent } from '../../../schema/envelope.ts';
import type { Profile } from '../../../schema/profile.ts';

/** A cursor, wait or limit that the profile's format refuses: a 400 in the old API's form. Its message names no value. */
export class LegacyRequestError extends Error {
  override readonly name = 'LegacyRequestError';
}

/** An item of a source that is no event; its message names the field, never what stands in it. */
export class LegacyItemError extends Error {
  override readonly name = 'LegacyItemError';
}

/** An entry of a Redis stream, as `eventFrom` takes it. */
export interface StreamItem {
  readonly id: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** A request of an old client, as far as a dialect reads it. Header names are lower case. */
export interface LegacyRequest {
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The parsed JSON body where a profile reads one; undefined otherwise. */
  readonly body: unknown;
}

/** Where a value stands in a request. */
export type RequestField = Pick<Profile['request']['cursor'], 'in' | 'name'>;

export interface LegacyAsk {
  /** The cursor's value, unwrapped; undefined where the request brings none. */
  readonly cursor: string | undefined;
  readonly waitMs: number;
  readonly limit: number;
}

/** An answer of the old API, or one in its form. `body` is UTF-8; undefined: none. */
export interface LegacyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** An answer as it was read. */
export type LegacyReading =
  | { readonly kind: 'events'; readonly items: readonly unknown[]; readonly cursor: string | undefined }
  | { readonly kind: 'idle'; readonly cursor: string | undefined }
  /** Another status than the profile knows, or a body of another shape; `why` names no payload. */
  | { readonly kind: 'unreadable'; readonly why: string };

export interface Dialect {
  readonly profile: Profile;
  /** @throws LegacyRequestError for a cursor, wait or limit that the format refuses */
  ask(request: LegacyRequest): LegacyAsk;
  /** The event in the old API's shape, as JSON. Undefined values are left out, and are null in a list. */
  eventJson(envelope: Envelope): string;
  /** What names the place after that event in the old API; undefined where the envelope has no such value. */
  cursorOf(envelope: Envelope): string | undefined;
  /** Which of two cursor values is earlier: negative where `a` is; undefined where the format has no order. */
  compare(a: string, b: string): number | undefined;
  /** @param events each as `eventJson` wrote it. @param cursor a value, not wrapped. Header names are lower case. */
  answer(events: readonly string[], cursor: string): LegacyAnswer;
  /** Nothing came in time. @param cursor what the client came with, or where it stands */
  idle(cursor: string | undefined): LegacyAnswer;
  /** The old API's form of an error with this status; undefined where the profile names none. */
  error(status: number): LegacyAnswer | undefined;
  /**
   * Reads an answer of the old API by the response templates, backwards; fields that they don't name are no fault. Where
   * they have no place for the cursor, it is the last item's. A number that a double can't hold comes as text.
   */
  read(answer: LegacyAnswer): LegacyReading;
  /** What to send the old API to ask for what follows `cursor`, waiting so long. `search` is empty or begins with `?`. */
  query(
    cursor: string | undefined,
    waitMs: number,
  ): {
    readonly search: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string | undefined;
  };
  /**
   * An item of the source as an event; undefined `org`: the source's key or reader names it.
   * @param item a `StreamItem` of a Redis stream; the text of a pub/sub message; an item of an old answer, parsed
   * @throws LegacyItemError
   */
  eventFrom(item: unknown): {
    readonly event: PublishEvent & { readonly id: string };
    readonly org: string | undefined;
  };
}
