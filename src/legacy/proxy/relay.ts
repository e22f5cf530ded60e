/**
 * One request on its way to the old backend and its answer on the way back, at the pace of the slower side. Whoever hangs
 * up, the other side is let go; an answer that broke off never ends as if it were whole.
 */
import type { ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Cancel, Clock } from '../../clock.ts';
import { codeIn, fail, isHangUp, TurnoutError } from '../../errors.ts';
import { type AnswerTap, TappedAnswer } from './answer-tap.ts';
import type { LegacyExchange } from './exchange.ts';
import { answerHeaders, hasBody } from './forwarding.ts';
import type { UpstreamRewrite } from './rewrite.ts';

/** How a request ended: `answered` whole, `refused` by us, `broken` off by the backend in mid-answer, or the client had `gone`. */
export interface RelayEnd {
  readonly outcome: 'answered' | 'refused' | 'broken' | 'gone';
  /** What the client was given; undefined where it was given nothing. */
  readonly status: number | undefined;
  /** Until the answer's first byte, or the end where there was none. */
  readonly firstByteMs: number;
  readonly error: TurnoutError | undefined;
}

/** A request to forward. */
export interface Forwarding {
  readonly exchange: LegacyExchange;
  /** What the upstream is asked in the request's place. */
  readonly rewrite?: UpstreamRewrite | undefined;
  readonly tap?: AnswerTap | undefined;
  readonly onEnd: (end: RelayEnd) => void;
}

export interface RelayOptions extends Forwarding {
  /** How long either side may be silent where it is its turn. */
  readonly silenceMs: number;
  /** The connection should be used no more after this answer. */
  readonly mustClose: () => boolean;
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  /** Gives the request to the upstream, with this relay as the handler of its answer. */
  readonly dispatch: (body: Buffer | AsyncIterable<Buffer> | null) => void;
  /** Writes the error's answer. */
  readonly refuse: (exchange: LegacyExchange, error: TurnoutError) => void;
}

// A kept connection that the backend had closed fails within a round trip; a held poll that failed was held longer.
const staleWithinMs = 1000;
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS']);

export class Relay implements Dispatcher.DispatchHandler {
  private readonly response: ServerResponse;
  private readonly beganMs: number;
  private sentMs = 0;
  private tapped: TappedAnswer | undefined;
  private stopStall: Cancel | undefined;
  private firstByteMs: number | undefined;
  private mayRepeat: boolean;
  private isOver = false;

  constructor(private readonly options: RelayOptions) {
    this.beganMs = options.clock.monotonic();
    const { request, response } = options.exchange;
    this.response = response;
    this.mayRepeat = repeatable.has(request.method ?? '') && !hasBody(request);
    response.on('close', this.onClosed);
  }

  /** Asks the backend. */
  send(): void {
    const { exchange, rewrite, dispatch, clock } = this.options;
    // It left while somebody else thought about its request.
    if (this.response.destroyed) this.onClosed();
    if (this.isOver) return;
    this.sentMs = clock.monotonic();
    dispatch(rewrite?.body ?? exchange.body);
  }

  /** Ends it from outside: with an answer of ours where none has begun, else by cutting the client off. */
  end(error: TurnoutError): void {
    const { exchange, refuse } = this.options;
    if (this.isOver) return;
    if (this.response.headersSent) {
      this.over('broken', error);
      // A clean end would make half an answer look whole.
      this.response.destroy();
    } else {
      refuse(exchange, error);
      this.over('refused', error);
    }
  }

  onRequestStart(): void {
    // undici asks for it.
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    text?: string,
  ): void {
    // 100 and 103 are told to whoever is next, which is us.
    if (status < 200 || this.isOver) return;
    const { clock, tap, mustClose } = this.options;
    const { response } = this;
    this.firstByteMs = clock.monotonic() - this.beganMs;
    // undici types them for every dispatcher there is; this one's are bytes.
    const headers = answerHeaders((controller.rawHeaders ?? []) as Buffer[]);
    if (tap !== undefined) this.tapped = new TappedAnswer(tap, status, [...headers]);
    if (mustClose()) headers.push('Connection', 'close');
    // The backend's own, or none.
    response.sendDate = false;
    try {
      response.writeHead(status, reasonPhrase(text ?? ''), headers);
    } catch (thrown) {
      // Node has kept the phrase, and our answer would have it. undici tells `onResponseError` what is thrown here.
      response.statusMessage = '';
      throw thrown;
    }
    // With a body that comes at once they leave in one packet; a backend that holds its body has sent its head for a reason.
    setImmediate(() => {
      if (!this.isOver) response.flushHeaders();
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { clock, silenceMs } = this.options;
    const { response } = this;
    if (this.isOver || response.destroyed) return;
    this.tapped?.take(chunk);
    if (response.write(chunk) || controller.paused) return;
    controller.pause();
    this.stopStall = clock.after(silenceMs, () => response.destroy());
    response.once('drain', () => {
      this.stopStall?.();
      controller.resume();
    });
  }

  onResponseEnd(): void {
    if (this.isOver) return;
    this.response.end();
    this.over('answered');
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.isOver) return;
    const { response } = this;
    // Its body broke off: told here before the connection's end is.
    if (response.destroyed || response.req.errored !== null) return this.onClosed();
    const isStale = this.options.clock.monotonic() - this.sentMs < staleWithinMs && isHangUp(error);
    if (this.mayRepeat && isStale && !response.headersSent) {
      this.mayRepeat = false;
      this.send();
      return;
    }
    this.end(upstreamError(error));
  }

  private readonly onClosed = (): void => {
    if (this.isOver) return;
    this.over('gone', fail('going_away', 'the client hung up'));
  };

  private over(outcome: RelayEnd['outcome'], error?: TurnoutError): void {
    const { onEnd, clock } = this.options;
    const { response } = this;
    this.isOver = true;
    this.stopStall?.();
    response.off('close', this.onClosed);
    this.tapped?.end(outcome === 'answered');
    const status = response.headersSent ? response.statusCode : undefined;
    onEnd({ outcome, status, firstByteMs: this.firstByteMs ?? clock.monotonic() - this.beganMs, error });
  }
}

/** The phrase in the upstream's own bytes, which undici has read as UTF-8. What was none, or no text, becomes `?`. */
function reasonPhrase(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  const bytes = Buffer.from(text.replaceAll('\ufffd', '?')).toString('latin1');
  return bytes.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '?');
}

const late = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);
const ours = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED']);

/** What undici says went wrong, as an error of our table. The message names no address: who asks is not told what stands behind. */
function upstreamError(cause: Error): TurnoutError {
  // The request's body broke off here, not there.
  if (cause instanceof TurnoutError) return cause;
  const code = codeIn(cause) ?? '';
  if (late.has(code)) return fail('upstream_timeout', undefined, { cause });
  // A target or a header that HTTP forbids, which node:http let in.
  if (ours.has(code)) return fail('bad_request', undefined, { cause });
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return fail('upstream_unreachable', "the headers of the backend's answer are too large", { cause });
  if (code.startsWith('HPE_'))
    return fail('upstream_unreachable', "the backend's answer is not HTTP", { cause });
  return fail('upstream_unreachable', undefined, { cause });
}
