/** Reads the JSON bodies of requests within a bound, and checks them against their schemas. */
import type { Context, MiddlewareHandler } from 'hono';
import type { z } from 'zod';
import { codeIn, fail } from '../errors.ts';
import { JsonBoundsError, withinBounds } from '../json.ts';

/** Refuses a larger body before it is read whole. @throws too_large */
export function atMost(maxBytes: number): MiddlewareHandler {
  return async (c, next) => {
    await holdTo(c, maxBytes);
    return next();
  };
}

/** Does the same for a route that authenticates first; a chunked body is read here. @throws too_large */
export async function holdTo(c: Context, maxBytes: number): Promise<void> {
  const refuse = (): never => {
    throw fail('too_large', `the body is over ${maxBytes} bytes`);
  };
  const length = c.req.header('content-length');
  // Node's parser holds a body to its Content-Length. A body without one, chunked or empty, is counted as it comes.
  if (length === undefined) c.req.raw = await readWithin(c.req.raw, maxBytes, refuse);
  else if (Number(length) > maxBytes) refuse();
}

/** Returns the same request with its body read. Hono's bodyLimit would copy it, and Node's Request throws at the adaptor's. */
async function readWithin(request: Request, maxBytes: number, refuse: () => never): Promise<Request> {
  if (request.body === null) return request;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(brokeOff);
    if (done) break;
    bytes += value.length;
    if (bytes > maxBytes) {
      // An unread rest would cost the caller the connection half a second later, maybe during its next request.
      void discardRest(reader);
      refuse();
    }
    chunks.push(value);
  }
  const { method, headers } = request;
  return new Request(request.url, { method, headers, body: Buffer.concat(chunks, bytes) });
}

/** A caller that hung up is no error of the node, so it isn't logged as one. */
function brokeOff(thrown: unknown): never {
  throw codeIn(thrown) === 'ECONNRESET'
    ? fail('bad_request', 'the body broke off', { cause: thrown })
    : thrown;
}

/** Reads and drops the rest. The adaptor bounds it: it cuts a body that goes on for half a second after its answer. */
async function discardRest(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    while (!(await reader.read()).done);
  } catch {
    // The caller hung up, or was cut.
  }
}

/**
 * Returns the body, checked by its schema; an empty one counts as `{}`.
 * @throws unsupported_media_type for another Content-Type than JSON, bad_request for what isn't JSON, is past its bounds or doesn't fit
 */
export async function readJson<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = await c.req.text().catch(brokeOff);
  const type = c.req.header('content-type');
  if (text !== '' && type !== undefined && !/^application\/(?:[\w.+-]+\+)?json\b/i.test(type))
    throw fail('unsupported_media_type');
  const parsed = schema.safeParse(text.trim() === '' ? {} : parse(text));
  if (parsed.success) return parsed.data;
  throw fail('bad_request', parsed.error.issues.slice(0, 5).map(tell).join('; '));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(withinBounds(text));
  } catch (error) {
    const why = error instanceof JsonBoundsError ? error.message : 'the body is not JSON';
    throw fail('bad_request', why, { cause: error });
  }
}

const tell = (issue: z.core.$ZodIssue): string =>
  issue.path.length === 0 ? issue.message : `${issue.path.map(String).join('.')} ${issue.message}`;
