/**
 * The one table of error codes (docs/PROTOCOL.md, 5): what each means over HTTP, as a close of the stream, and what
 * the client should do about it. Clients read `code` and `retry`, never the message.
 */
import { z } from 'zod';

export const retrySchema = z.enum(['now', 'backoff', 'reauth', 'never']);
export type Retry = z.infer<typeof retrySchema>;

export interface CodeEntry {
  /** HTTP status when a request is refused with this code. */
  readonly status: number;
  /** WebSocket close code when a stream ends with this code; absent where it is only ever an answer or a frame. */
  readonly close?: number;
  readonly retry: Retry;
  /** What the reader of an error sees when the thrower said nothing more exact. */
  readonly message: string;
}

export const codes = {
  bad_request: { status: 400, retry: 'never', message: 'the request is malformed' },
  bad_cursor: { status: 400, close: 1008, retry: 'never', message: 'the cursor cannot be read' },
  bad_frame: { status: 400, close: 1008, retry: 'never', message: 'the frame is malformed' },
  bad_field: { status: 400, retry: 'never', message: 'a field of the frame is missing or malformed' },
  unknown_type: { status: 400, retry: 'never', message: 'no frame has this type' },
  reserved_field: { status: 400, retry: 'never', message: 'seq, timestamp and sender are set by the server' },
  mixed_batch: {
    status: 400,
    retry: 'never',
    message: 'stored and ephemeral events do not share a batch',
  },
  unauthorized: {
    status: 401,
    close: 4401,
    retry: 'reauth',
    message: 'the token is missing, malformed, forged or expired',
  },
  service_forbidden: {
    status: 403,
    close: 1008,
    retry: 'never',
    message: 'the token does not allow this service',
  },
  service_reserved: {
    status: 403,
    retry: 'never',
    message: 'only Turnout itself publishes to this service',
  },
  role_required: { status: 403, retry: 'never', message: 'the token lacks the role that this call needs' },
  org_forbidden: { status: 403, retry: 'never', message: 'the token does not allow this org' },
  origin_forbidden: { status: 403, close: 1008, retry: 'never', message: 'this origin is not allowed' },
  not_found: { status: 404, retry: 'never', message: 'there is nothing here' },
  method_not_allowed: { status: 405, retry: 'never', message: 'this path does not take this method' },
  request_timeout: { status: 408, retry: 'backoff', message: 'the request did not come in time' },
  version_conflict: { status: 409, retry: 'now', message: 'somebody else changed the rules first' },
  kill_file_present: { status: 409, retry: 'never', message: 'a kill file still stands on a node' },
  too_large: { status: 413, close: 1009, retry: 'never', message: 'the body, event or frame is too large' },
  unsupported_media_type: { status: 415, retry: 'never', message: 'the body is not JSON' },
  upgrade_required: { status: 426, retry: 'never', message: 'this path speaks WebSocket only' },
  rate_limited: { status: 429, retry: 'backoff', message: 'too many requests' },
  internal: { status: 500, close: 1011, retry: 'backoff', message: 'something went wrong on our side' },
  upstream_unreachable: {
    status: 502,
    retry: 'backoff',
    message: 'the backend behind this path cannot be reached, or hung up',
  },
  upstream_timeout: { status: 504, retry: 'backoff', message: 'the backend behind this path did not answer' },
  log_unavailable: { status: 503, close: 1013, retry: 'backoff', message: 'the event log cannot be reached' },
  overloaded: {
    status: 503,
    close: 1013,
    retry: 'backoff',
    message: 'the node has no room; try again later',
  },
  draining: {
    status: 503,
    close: 1012,
    retry: 'now',
    message: 'the node is being drained; another will answer',
  },
  done: { status: 200, close: 1000, retry: 'never', message: 'the client is done' },
  going_away: { status: 503, close: 1001, retry: 'now', message: 'the peer is going away' },
  binary_frame: { status: 400, close: 1003, retry: 'never', message: 'frames are JSON text' },
  flooding: { status: 429, close: 1008, retry: 'never', message: 'too many frames or errors' },
  dead_peer: {
    status: 408,
    close: 1006,
    retry: 'now',
    message: 'nothing came from the peer for two ping rounds',
  },
  handshake_timeout: { status: 408, close: 4408, retry: 'backoff', message: 'no first frame in time' },
  too_many_connections: {
    status: 429,
    close: 4409,
    retry: 'never',
    message: 'this user has too many connections; the oldest was closed',
  },
  moved: { status: 409, close: 4410, retry: 'now', message: 'this user was moved to long-poll' },
  kill_switch: { status: 409, close: 4410, retry: 'now', message: 'the kill switch is on' },
  node_capped: { status: 409, close: 4410, retry: 'now', message: 'this node serves long-poll only' },
  transport_not_assigned: {
    status: 409,
    close: 4410,
    retry: 'now',
    message: "this user's transport is long-poll",
  },
  ticket_expired: {
    status: 401,
    close: 4410,
    retry: 'now',
    message: 'the ticket has expired; negotiate again',
  },
} as const satisfies Record<string, CodeEntry>;

export type Code = keyof typeof codes;

/** Codes that can end a stream: those of the table with a close code. */
export type CloseCode = { [C in Code]: (typeof codes)[C] extends { close: number } ? C : never }[Code];

export const codeSchema = z.enum(Object.keys(codes) as [Code, ...Code[]]);

/** Bounds of the protocol, which no setting moves. Sizes in bytes unless the name says otherwise. */
export const limits = {
  eventBytes: 64 * 1024,
  batchEvents: 500,
  batchBytes: 1024 * 1024,
  /** How deep lists and objects may be nested in a body or frame, and how many keys, lists and objects it may have. */
  jsonDepth: 128,
  jsonParts: 100_000,
  frameBytes: 128 * 1024,
  frameEvents: 500,
  pollBytes: 1024 * 1024,
  pollEvents: 1000,
  pollEventsDefault: 500,
  pollWaitS: 60,
  pollWaitDefaultS: 25,
  servicesPerConnection: 100,
  cursorChars: 96,
  recipients: 1000,
  handshakeMs: 10_000,
  errorsPerConnection: 100,
  controlFramesPerWindow: 500,
  controlWindowMs: 10_000,
  ticketMs: 5 * 60_000,
  idempotencyMs: 10 * 60_000,
  idempotencyIds: 100_000,
  drainMs: 10_000,
} as const;
