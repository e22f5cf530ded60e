/**
 * Publishes as an end user: through the stream while one serves, else over HTTP. An event whose answer was lost with its
 * stream is sent again over HTTP under the same id, which the log knows.
 */
import type { ErrorBody, PublishResult } from '../../schema/http.ts';
import type { Environment } from './environment.ts';
import { authorizationOf } from './token.ts';
import type { OpenLink, Reply } from './transports/link.ts';

export interface PublishInput {
  readonly service: string;
  readonly type: string;
  /** Anything that JSON can say. */
  readonly payload: object | string | number | boolean | null;
  /** The same id again is the same event. Absent: one is made. */
  readonly id?: string;
  readonly thread_id?: string;
  readonly agent?: string;
  readonly in_reply_to?: string;
  readonly meta?: { readonly trace?: string; readonly [field: string]: unknown };
  /** Only these users receive it. */
  readonly to?: string[];
  readonly ephemeral?: boolean;
}
export interface Published {
  readonly id: string;
  /** Absent for an ephemeral event. */
  readonly seq?: number;
}

/** Why a publish failed, by the code of the gateway's table (`network` where nobody answered). */
export class PublishError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'PublishError';
    this.code = code;
  }
}

interface Waiting {
  readonly id: string;
  readonly link: OpenLink;
  settle(reply: Reply | 'lost'): void;
}

/** What a request was answered, and the token that it showed. */
interface Said {
  readonly answer: Response;
  readonly body: unknown;
  readonly token: string;
}

export interface PublishTokens {
  /** The newest that the gateway was shown. */
  readonly last: () => Promise<string>;
  /** The application's next. */
  readonly next: () => Promise<string>;
}

const answerWithinMs = 10_000;

export class PublishDesk {
  private readonly url: string;
  private readonly environment: Environment;
  private readonly tokens: PublishTokens;
  private readonly stream: () => OpenLink | undefined;
  /** In the order that they were sent: two may have one id, and each is answered. */
  private readonly waiting = new Set<Waiting>();

  /** @param stream the one that serves now, if one does. */
  constructor(
    url: string,
    environment: Environment,
    tokens: PublishTokens,
    stream: () => OpenLink | undefined,
  ) {
    this.url = url;
    this.environment = environment;
    this.tokens = tokens;
    this.stream = stream;
  }

  /** @throws PublishError */
  async publish(input: PublishInput): Promise<Published> {
    const { id = this.environment.clock.id(), ...rest } = input;
    const reply = await this.overStream(id, rest);
    if (reply === 'lost') return this.overHttp({ ...rest, id });
    if (!reply.ok) throw new PublishError(reply.code, reply.message);
    return reply.seq === undefined ? { id } : { id, seq: reply.seq };
  }

  /** An answer of a stream. @returns false where nobody here waits for it. */
  settle(reply: Reply): boolean {
    const id = reply.ok ? reply.id : reply.ref;
    for (const waiting of this.waiting) {
      if (waiting.id !== id) continue;
      waiting.settle(reply);
      return true;
    }
    return false;
  }

  /** A stream is gone, and with it the answers that it owed. */
  lost(link: OpenLink): void {
    for (const waiting of this.waiting) if (waiting.link === link) waiting.settle('lost');
  }

  private overStream(id: string, { service, ...event }: PublishInput): Promise<Reply | 'lost'> {
    const link = this.stream();
    if (link === undefined || !link.send({ type: 'publish', id, service, event }))
      return Promise.resolve('lost');
    return new Promise((resolve) => {
      const settle = (reply: Reply | 'lost'): void => {
        cancel();
        this.waiting.delete(waiting);
        resolve(reply);
      };
      const waiting: Waiting = { id, link, settle };
      const cancel = this.environment.clock.after(answerWithinMs, () => settle('lost'));
      this.waiting.add(waiting);
    });
  }

  private async overHttp(event: object): Promise<Published> {
    const first = await this.post(event, this.tokens.last);
    // The token may have ended since it was shown: once more, with one that differs.
    const { answer, body } =
      first.answer.status === 401 ? await this.post(event, this.tokens.next, first) : first;
    // The gateway answers as its schema says; what stands in between need not.
    if (!answer.ok) {
      const error = (body as ErrorBody | undefined)?.error;
      throw new PublishError(error?.code ?? `http_${answer.status}`, error?.message ?? 'refused');
    }
    const [result] = (body as PublishResult).results;
    if (result === undefined) throw new PublishError('internal', 'the answer names no event');
    return result.seq === undefined ? { id: result.id } : { id: result.id, seq: result.seq };
  }

  /**
   * Its body in the same time: an answer may be cut off, or stop, in its middle.
   * @param refused what was answered to the token before: given back where this is the same
   */
  private async post(event: object, source: () => Promise<string>, refused?: Said): Promise<Said> {
    const abort = new AbortController();
    const cancel = this.environment.clock.after(answerWithinMs, () => abort.abort());
    try {
      const token = await source();
      if (token === refused?.token) return refused;
      const answer = await this.environment.fetch(this.url, {
        method: 'POST',
        headers: { ...authorizationOf(token), 'content-type': 'application/json' },
        body: JSON.stringify(event),
        signal: abort.signal,
      });
      const read: Promise<unknown> = answer.json();
      return { answer, body: answer.ok ? await read : await read.catch(() => undefined), token };
    } catch (cause) {
      throw new PublishError('network', cause instanceof Error ? cause.message : String(cause));
    } finally {
      cancel();
    }
  }
}
