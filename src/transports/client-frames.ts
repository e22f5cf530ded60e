/** What a stream's client said, parsed once at the edge. Pure: text in, a frame or what is wrong with it out. */
import type { Code } from '../../schema/codes.ts';
import { type ClientFrame, clientFrameSchema, firstFrameSchema } from '../../schema/frames.ts';
import { reservedFields } from '../../schema/envelope.ts';
import { fail, problemsIn, type TurnoutError } from '../errors.ts';
import { isObject, JsonBoundsError, withinBounds } from '../json.ts';
import { firstInexactNumber, inexactMessage } from '../log/exact-numbers.ts';
import { decodeCursor } from '../log/cursor.ts';
import type { Start } from '../log/event-log.ts';

export interface Opening {
  readonly services: ReadonlySet<string>;
  readonly start: Start;
  readonly session: string | undefined;
}

/** A frame, or an error that the connection survives. */
export type Parsed =
  | { readonly ok: true; readonly frame: ClientFrame }
  | { readonly ok: false; readonly error: TurnoutError; readonly ref: string | undefined };

/** @throws bad_frame, bad_cursor: either ends the connection. */
export function parseFirstFrame(text: string): Opening {
  const parsed = firstFrameSchema.safeParse(firstObject(text));
  if (!parsed.success) {
    const { issues } = parsed.error;
    throw fail(issues[0]?.path[0] === 'cursor' ? 'bad_cursor' : 'bad_frame', problemsIn(issues, 'frame', 1));
  }
  const { data } = parsed;
  return { services: new Set(data.services), start: startOf(data), session: data.session };
}

/** @throws bad_frame where it isn't JSON, not an object, or has no string `type`: that ends the connection. */
export function parseClientFrame(text: string): Parsed {
  let object: Readonly<Record<string, unknown>>;
  try {
    object = parseObject(text);
  } catch (thrown) {
    // Not read, so that nobody knows what it was; the SDK then publishes over HTTP, and is told there.
    if (!(thrown instanceof JsonBoundsError)) throw thrown;
    return { ok: false, error: fail('bad_field', thrown.message), ref: undefined };
  }
  const { type } = object;
  if (typeof type !== 'string') throw fail('bad_frame', 'a frame needs a type');
  const ref = typeof object.id === 'string' ? object.id.slice(0, 128) : undefined;
  const refused = (code: Code, message: string, about = ref): Parsed => ({
    ok: false,
    error: fail(code, message),
    ref: about,
  });
  if (!knownTypes.has(type))
    return refused('unknown_type', `no frame has the type ${JSON.stringify(type.slice(0, 32))}`);
  const { event } = object;
  const reserved = reservedFields.find((field) => isObject(event) && Object.hasOwn(event, field));
  if (reserved !== undefined) return refused('reserved_field', `${reserved} is set by the server`);
  const inexact = type === 'publish' ? firstInexactNumber(text) : undefined;
  if (inexact !== undefined) return refused('bad_field', inexactMessage(inexact));
  const parsed = clientFrameSchema.safeParse(object);
  if (parsed.success) return { ok: true, frame: parsed.data };
  return refused('bad_field', problemsIn(parsed.error.issues, 'frame', 1), ref ?? type);
}

/** The start that a first frame or a poll names. @throws bad_cursor */
export function startOf(asked: {
  cursor?: string | undefined;
  lastSeq?: unknown;
  epoch?: string | undefined;
}): Start {
  if (asked.cursor !== undefined && asked.lastSeq !== undefined)
    throw fail('bad_cursor', 'give cursor or lastSeq, not both');
  if (asked.cursor === 'earliest') return { at: 'earliest' };
  if (asked.cursor !== undefined) return { at: 'cursor', position: decodeCursor(asked.cursor) };
  if (asked.lastSeq === undefined) return { at: 'head' };
  const { lastSeq: seq, epoch } = asked;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0)
    throw fail('bad_cursor', 'lastSeq must be a whole number, 0 or more');
  return { at: 'lastSeq', seq, ...(epoch === undefined ? {} : { epoch }) };
}

const knownTypes: ReadonlySet<string> = new Set(
  clientFrameSchema.options.map(({ shape }) => shape.type.value),
);

/** @throws bad_frame */
function firstObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return parseObject(text);
  } catch (thrown) {
    throw thrown instanceof JsonBoundsError ? fail('bad_frame', thrown.message, { cause: thrown }) : thrown;
  }
}

/** @throws bad_frame; JsonBoundsError where it isn't read at all */
function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(withinBounds(text));
  } catch (cause) {
    if (cause instanceof JsonBoundsError) throw cause;
    throw fail('bad_frame', 'a frame is JSON', { cause });
  }
  if (!isObject(value)) throw fail('bad_frame', 'a frame is an object');
  return value;
}
