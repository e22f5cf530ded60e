/** One run of polls, each asking with the cursor that the client has by then. Says what it hears and decides nothing. */
import type { ErrorBody, PollBody } from '../../../schema/http.ts';
import { verdictOfStatus } from '../closes.ts';
import type { LinkParts, OpenLink } from './link.ts';

export interface PollParts extends LinkParts {
  readonly token: string;
  /** What to ask with now: the cursor is the acknowledgement of the answer before. */
  now(): { readonly cursor: string | undefined; readonly assignment: number | undefined };
}

const waitS = 25;
// How long an answer may take beyond its wait before the request is given up.
const graceMs = 10_000;
// Between two requests of a busy client: what comes meanwhile shares an answer.
const paceMs = 50;

export class PollLink implements OpenLink {
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
    this.opened();
    return new Promise((resolve) => {
      this.interrupt = resolve;
    });
  }

  private opened(): void {
    if (this.isOpened) return;
    this.isOpened = true;
    this.parts.tell({ type: 'opened', at: undefined });
  }

  private async poll(): Promise<void> {
    const { environment, token } = this.parts;
    const abort = new AbortController();
    let isInterrupted = false;
    const wait = this.isOpened ? waitS : 0;
    const cancel = environment.clock.after(wait * 1000 + graceMs, () => abort.abort());
    this.interrupt = () => {
      isInterrupted = true;
      abort.abort();
    };
    try {
      const answer = await environment.fetch(this.query(wait), {
        headers: { authorization: `Bearer ${token}` },
        signal: abort.signal,
      });
      // The gateway answers as its schema says; what stands in between need not.
      const read = answer.json();
      const body: unknown = answer.ok ? await read : await read.catch(() => undefined);
      if (isInterrupted) return;
      if (answer.ok) this.tell(body as PollBody);
      else this.refused(answer.status, body as ErrorBody | undefined);
    } catch {
      if (!isInterrupted) this.ended('window', 'network');
    } finally {
      cancel();
    }
  }

  private query(wait: number): string {
    const { url, session } = this.parts;
    const { cursor, assignment } = this.parts.now();
    const query = new URLSearchParams({ services: this.services.join(','), wait: String(wait), session });
    if (cursor !== undefined) query.set('cursor', cursor);
    if (assignment !== undefined) query.set('assignment', String(assignment));
    return `${url}?${query.toString()}`;
  }

  private refused(status: number, body: ErrorBody | undefined): void {
    this.ended(verdictOfStatus(status, body?.error?.retry), body?.error?.code ?? status);
  }

  private ended(verdict: ReturnType<typeof verdictOfStatus>, code: string | number): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.parts.tell({ type: 'closed', verdict, code });
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
