/** One run of polls, each asking with the cursor that the client has by then. Says what it hears and decides nothing. */
import type { Audit } from '../../../schema/frames.ts';
import type { PollBody } from '../../../schema/http.ts';
import { type Refusal, refusalOf } from '../refusal.ts';
import { authorizationOf } from '../token.ts';
import type { LinkParts, OpenLink } from './link.ts';

export interface PollQuestion {
  readonly cursor: string | undefined;
  readonly assignment: number | undefined;
  /** The latest: a question that was asked meanwhile may have brought a newer one. */
  readonly token: string;
  readonly audit: Audit | undefined;
}

export interface PollParts extends LinkParts {
  /** What to ask with now: the cursor is the acknowledgement of the answer before. */
  now(): PollQuestion;
}

const waitS = 25;
// How long an answer may take beyond its wait before the request is given up.
const graceMs = 10_000;
// Between two requests of a busy client: what comes meanwhile shares an answer.
const paceMs = 50;

export class PollLink implements OpenLink {
  token = '';
  private readonly parts: PollParts;
  private services: readonly string[];
  private isOpened = false;
  private isClosed = false;
  private interrupt: () => void = () => undefined;

  constructor(parts: PollParts) {
    this.parts = parts;
    this.services = parts.services;
    void this.run();
  }

  close(): void {
    this.isClosed = true;
    this.interrupt();
  }

  /** The poll that is held asks for the old ones: it is given up, and asked again at the same cursor. */
  setServices(services: readonly string[]): void {
    this.services = services;
    this.interrupt();
  }

  send(): boolean {
    return false;
  }

  /** Never rejects: what fails is told. */
  private async run(): Promise<void> {
    const { clock } = this.parts.environment;
    // The opener's own step ends before its connection speaks.
    await Promise.resolve();
    while (!this.isClosed) {
      const sinceMs = clock.now();
      if (this.services.length > 0) await this.poll();
      else await this.rest();
      const leftMs = paceMs - (clock.now() - sinceMs);
      if (!this.isClosed && leftMs > 0) await this.pause(leftMs);
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.parts.environment.clock.after(ms, resolve);
      this.interrupt = () => {
        cancel();
        resolve();
      };
    });
  }

  /** A poll without services is refused: until there are some, nothing is asked. */
  private rest(): Promise<void> {
    return new Promise((resolve) => {
      // Before it is told: whoever hears it may want a service at once.
      this.interrupt = resolve;
      this.opened();
    });
  }

  private opened(): void {
    if (this.isOpened) return;
    this.isOpened = true;
    this.parts.tell({ type: 'opened', at: undefined });
  }

  private async poll(): Promise<void> {
    const { environment } = this.parts;
    const question = this.parts.now();
    this.token = question.token;
    const abort = new AbortController();
    let isInterrupted = false;
    const wait = this.isOpened ? waitS : 0;
    const cancel = environment.clock.after(wait * 1000 + graceMs, () => abort.abort());
    this.interrupt = () => {
      isInterrupted = true;
      abort.abort();
    };
    try {
      const answer = await environment.fetch(this.address(question, wait), {
        headers: this.headers(question),
        signal: abort.signal,
      });
      // The gateway answers as its schema says; what stands in between need not.
      const read = answer.json();
      const body: unknown = answer.ok ? await read : await read.catch(() => undefined);
      if (isInterrupted) return;
      if (answer.ok) this.tell(body as PollBody);
      else this.ended(refusalOf(answer, body));
    } catch {
      if (!isInterrupted) this.ended({ verdict: 'window', code: 'network', retryAfterMs: undefined });
    } finally {
      cancel();
    }
  }

  /** With the report of what was handed over since the last one, where there is something to report. */
  private headers({ token, audit }: PollQuestion): Record<string, string> {
    const authorization = authorizationOf(token);
    if (audit === undefined || audit.to === audit.from) return { ...authorization };
    this.parts.tell({ type: 'reported' });
    return { ...authorization, 'turnout-audit': JSON.stringify(audit) };
  }

  private address({ cursor, assignment }: PollQuestion, wait: number): string {
    const { url, session } = this.parts;
    const query = new URLSearchParams({ services: this.services.join(','), wait: String(wait), session });
    if (cursor !== undefined) query.set('cursor', cursor);
    if (assignment !== undefined) query.set('assignment', String(assignment));
    return `${url}?${query.toString()}`;
  }

  private ended(refusal: Refusal): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.parts.tell({ type: 'closed', ...refusal });
  }

  private tell({ events, ephemeral, reset, cursor, seq, epoch, transport, assignment }: PollBody): void {
    const { parts } = this;
    const at = { epoch, seq, cursor };
    this.opened();
    if (reset !== undefined) parts.tell({ type: 'reset', at, reason: reset.reason });
    else if (events.length > 0) parts.tell({ type: 'events', at, events });
    else parts.tell({ type: 'progress', at, why: 'poll' });
    if (ephemeral !== undefined) parts.tell({ type: 'ephemeral', events: ephemeral });
    if (transport === 'websocket') parts.tell({ type: 'due', assignment });
  }
}
