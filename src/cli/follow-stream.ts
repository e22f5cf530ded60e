/** Follows services over one WebSocket (docs/PROTOCOL.md, 8). */
import { on } from 'node:events';
import { type RawData, WebSocket } from 'ws';
import { type Code, codes, codeSchema } from '../../schema/codes.ts';
import { type ServerFrame, serverFrameSchema } from '../../schema/frames.ts';
import { CommandError } from './exits.ts';
import { type Batch, followByPoll, type FollowOptions, notAssigned, type Position } from './follow.ts';
import { jsonIn } from '../json.ts';

const handshakeMs = 10_000;
/** Frames that may wait for a slow reader of ours before the socket is left unread. */
const waiting = { highWaterMark: 64, lowWaterMark: 16 };
/** Closes that another try would only meet again. */
const neverAgain: ReadonlySet<number> = new Set(
  [codes.binary_frame, codes.bad_frame, codes.too_large, codes.unauthorized, codes.too_many_connections].map(
    ({ close }) => close,
  ),
);

/**
 * Ends when the terminal is stopped, or the gateway asks for a new connection: follow again at the last cursor.
 * @throws CommandError with the close's code
 */
export async function* followByStream(options: FollowOptions, begin: Position): AsyncGenerator<Batch> {
  const { client, services, terminal } = options;
  let position = begin;
  // The stream has no word for `earliest`: what is kept is read by poll, and the cursor carries over.
  if (begin.cursor === 'earliest')
    for await (const batch of followByPoll(options, begin, true)) {
      if (batch.cursor !== undefined) position = { cursor: batch.cursor };
      yield batch;
    }
  if (terminal.stopped.aborted) return;

  const url = `${client.url.replace(/^http/, 'ws')}/v2/realtime/stream`;
  const headers = client.token === undefined ? {} : { authorization: `Bearer ${client.token}` };
  const socket = new WebSocket(url, { headers, handshakeTimeout: handshakeMs });
  const stop = (): void => socket.close(1000);
  terminal.stopped.addEventListener('abort', stop);
  let closed: { readonly code: number; readonly reason: string } | undefined;
  socket.once('close', (code, reason) => {
    closed = { code, reason: reason.toString('utf8') };
  });
  socket.once('open', () => socket.send(JSON.stringify({ services, version: 1, ...position })));
  try {
    // `on` can't know what a `message` brings; ws says RawData.
    for await (const [data] of on(socket, 'message', { close: ['close'], ...waiting })) {
      const frame = readFrame(data as RawData);
      const batch = frame === undefined ? undefined : batchOf(frame);
      if (batch !== undefined) yield batch;
      if (frame?.type === 'reconnect') return;
    }
  } catch (thrown) {
    throw failedToOpen(client.url, thrown);
  } finally {
    terminal.stopped.removeEventListener('abort', stop);
    // Whoever stops listening must not leave a socket that may still fail.
    socket.on('error', () => undefined);
    socket.close(1000);
  }
  if (!terminal.stopped.aborted && closed !== undefined) throw closedWith(closed.code, closed.reason);
}

/** Undefined for what a later version may say and this one does not know. */
function readFrame(data: RawData): ServerFrame | undefined {
  // ws hands over a Buffer, or several, unless its binaryType is changed.
  const text = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
  return serverFrameSchema.safeParse(jsonIn(text.toString('utf8'))).data;
}

function batchOf(frame: ServerFrame): Batch | undefined {
  const events = 'events' in frame ? frame.events : [];
  const place = 'cursor' in frame ? { cursor: frame.cursor } : {};
  switch (frame.type) {
    case 'ack':
    case 'ping':
    case 'reconnect':
    case 'event':
    case 'ephemeral':
      return { events, ...place };
    case 'reset':
      return { events, ...place, reset: frame.reason };
    case 'migrate':
      return { events, ...place, note: `told to move to ${frame.transport}: ${frame.reason}` };
    case 'error':
      return { events, note: `${frame.ref ?? 'the stream'}: ${frame.message} (${frame.code})` };
    case 'published':
      return undefined;
  }
}

function failedToOpen(url: string, thrown: unknown): CommandError {
  const why = thrown instanceof Error ? thrown.message : 'the connection failed';
  const status = Number(/^Unexpected server response: (\d{3})$/.exec(why)?.[1] ?? 0);
  return new CommandError('unreachable', `cannot open a stream at ${url}: ${why}`, {
    hint: 'check --url (or TURNOUT_URL), and whether what stands between passes WebSocket on',
    isTransient: status === 0 || status === 429 || status >= 500,
    cause: thrown,
  });
}

function closedWith(close: number, reason: string): CommandError {
  const code: Code | undefined = codeSchema.safeParse(reason).data;
  const message = code === undefined ? `the stream was closed with ${close}` : codes[code].message;
  const isTransient = !neverAgain.has(close) && close !== notAssigned;
  return new CommandError('refused', `${message}; close code ${close}`, {
    code: code ?? String(close),
    hint: close === notAssigned ? 'use --transport long-poll, or auto' : undefined,
    isTransient,
  });
}
