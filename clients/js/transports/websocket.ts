/** One stream: first frame, frames in, frames out. Says what it hears and decides nothing. */
import type { Code } from '../../../schema/codes.ts';
import type { ClientFrame, ServerFrame } from '../../../schema/frames.ts';
import type { Place } from '../cursor.ts';
import { type Verdict, verdictOfClose } from '../closes.ts';
import type { Cancel, WebSocketLike, WebSocketMaker } from '../environment.ts';
import type { LinkNews, LinkParts, OpenLink } from './link.ts';
import { Renewal } from './renewal.ts';

export interface StreamParts extends LinkParts {
  readonly cursor: string | undefined;
  readonly token: string;
  /** The application's next token. May reject. */
  freshToken(): Promise<string>;
  /** The gateway took another token. */
  renewed(token: string): void;
  readonly WebSocket: WebSocketMaker;
}

// A stream that is silent for so many ping rounds is dead: a browser isn't told of a peer that is gone.
const silentRounds = 2.5;

export class StreamLink implements OpenLink {
  private readonly parts: StreamParts;
  private readonly socket: WebSocketLike;
  private services: readonly string[];
  private epoch: string | undefined;
  private heardMs: number;
  private cancelWatch: Cancel = () => undefined;
  private isClosed = false;
  private readonly renewal: Renewal;
  /** What was asked and not yet answered by an `ack`, in order. */
  private readonly asked: ('services' | 'token')[] = [];
  token: string;
  private readonly onOpen = (): void => {
    const { services, cursor, session } = this.parts;
    const start = cursor === undefined ? {} : { cursor };
    this.socket.send(JSON.stringify({ services, version: 1, ...start, session }));
  };
  private readonly onMessage = ({ data }: { readonly data: unknown }): void => this.hear(data);
  private readonly onClose = ({ code, reason }: { readonly code: number; readonly reason: string }): void =>
    this.ended(code, reason);

  constructor(parts: StreamParts) {
    this.parts = parts;
    this.services = parts.services;
    this.heardMs = parts.environment.clock.now();
    this.token = parts.token;
    this.renewal = new Renewal(
      {
        clock: parts.environment.clock,
        freshToken: () => parts.freshToken(),
        show: (token) => this.ask({ type: 'auth', token }),
      },
      parts.token,
    );
    this.socket = new parts.WebSocket(parts.url);
    this.socket.addEventListener('open', this.onOpen);
    this.socket.addEventListener('message', this.onMessage);
    this.socket.addEventListener('close', this.onClose);
    // A close follows, with the code. Stays when the others go: a late error that nobody hears would end a Node process.
    this.socket.addEventListener('error', () => undefined);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.leave();
    this.socket.close(1000);
  }

  setServices(services: readonly string[]): void {
    const added = services.filter((service) => !this.services.includes(service));
    const removed = this.services.filter((service) => !services.includes(service));
    this.services = services;
    if (removed.length > 0) this.ask({ type: 'unsubscribe', services: removed });
    if (added.length > 0) this.ask({ type: 'subscribe', services: added });
  }

  private ask(frame: Extract<ClientFrame, { type: 'subscribe' | 'unsubscribe' | 'auth' }>): void {
    if (this.send(frame)) this.asked.push(frame.type === 'auth' ? 'token' : 'services');
  }

  send(frame: ClientFrame): boolean {
    if (this.isClosed || this.epoch === undefined) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  private ended(code: number, reason = ''): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.leave();
    const isKill = reason === ('kill_switch' satisfies Code);
    this.parts.tell({ type: 'closed', verdict: verdictOfClose(code), code, isKill });
  }

  private leave(): void {
    this.cancelWatch();
    this.renewal.stop();
    this.socket.removeEventListener('open', this.onOpen);
    this.socket.removeEventListener('message', this.onMessage);
    this.socket.removeEventListener('close', this.onClose);
  }

  private hear(data: unknown): void {
    if (this.isClosed || typeof data !== 'string') return;
    this.heardMs = this.parts.environment.clock.now();
    const frame = parse(data);
    const news = frame && this.newsOf(frame);
    if (news !== undefined) this.parts.tell(news);
    else if (frame === undefined) this.giveUp('backoff', 'bad_frame');
  }

  private giveUp(verdict: Verdict, code: string): void {
    this.close();
    this.parts.tell({ type: 'closed', verdict, code });
  }

  private newsOf(frame: ServerFrame): LinkNews | undefined {
    switch (frame.type) {
      case 'ack': {
        const at: Place = { epoch: frame.epoch, seq: frame.seq, cursor: frame.cursor };
        if (this.epoch !== undefined) return { type: 'progress', at, why: this.answered(frame.timestamp) };
        this.epoch = frame.epoch;
        this.watch(frame.pingMs * silentRounds);
        this.renewal.begin(frame.timestamp);
        return { type: 'opened', at };
      }
      case 'event':
        return { type: 'events', at: this.placeOf(frame), events: frame.events };
      case 'ephemeral':
        return { type: 'ephemeral', events: frame.events };
      case 'ping':
        return { type: 'progress', at: this.placeOf(frame), why: 'ping' };
      case 'reset':
        this.epoch = frame.epoch;
        return { type: 'reset', at: this.placeOf(frame), reason: frame.reason };
      case 'migrate':
        return {
          type: 'migrate',
          transport: frame.transport,
          assignment: frame.assignment,
          cursor: frame.cursor,
        };
      case 'reconnect':
        return { type: 'reconnect', withinMs: frame.withinMs };
      case 'published':
        this.parts.reply({ ok: true, id: frame.id, seq: frame.seq });
        return undefined;
      case 'error':
        if (frame.ref === 'auth' && this.asked[0] === 'token') this.answered(undefined);
        this.parts.reply({ ok: false, code: frame.code, message: frame.message, ref: frame.ref });
        return undefined;
    }
    // A type that a later gateway knows: passed over, as the protocol grows.
    return undefined;
  }

  /** The gateway answered what was asked first. @param timestamp its time; undefined where it refused. */
  private answered(timestamp: string | undefined): 'answer' | 'renewal' {
    if (this.asked.shift() !== 'token') return 'answer';
    const token = this.renewal.answered(timestamp);
    if (token !== undefined) {
      this.token = token;
      this.parts.renewed(token);
    }
    return 'renewal';
  }

  /** The epoch stands in `ack` and `reset` and holds until the next of them. */
  private placeOf({ seq, cursor }: { seq: number; cursor: string }): Place {
    return { epoch: this.epoch ?? '', seq, cursor };
  }

  private watch(silentMs: number): void {
    const { clock } = this.parts.environment;
    const quietMs = clock.now() - this.heardMs;
    if (quietMs < silentMs) {
      this.cancelWatch = clock.after(silentMs - quietMs, () => this.watch(silentMs));
      return;
    }
    this.giveUp('window', 'silent');
  }
}

/** The gateway holds its frames to the schema; checking each again would cost what the fan-out saves. */
function parse(text: string): ServerFrame | undefined {
  try {
    return JSON.parse(text) as ServerFrame;
  } catch {
    // Not our gateway, or not whole: whoever reads on would lose what was in it.
    return undefined;
  }
}
