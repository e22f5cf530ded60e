/**
 * Bounds what an HTTP connection makes the node hold: its requests are handled one at a time, the next once the answer
 * before has left this process; few may wait for that, and an answer that its client doesn't read is cut off.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { BytesInFlight, Holder } from '../async/bytes-in-flight.ts';

export interface ConnectionBounds {
  readonly inFlight: BytesInFlight;
  /** How long an answer may stand without a byte of it being read. */
  readonly stallMs: number;
  /** Whose limits count for a connection; undefined where limits by address are off. */
  readonly addressOf: (request: IncomingMessage) => string | undefined;
}

/** Requests that may wait on a connection for the answer before theirs. */
export const maxAhead = 16;
// What a request that waits costs: Node's two objects for it, and its headers, roughly.
const requestBytes = 4 * 1024;

interface User {
  readonly org: string;
  readonly sub: string;
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export class HttpConnections {
  private readonly turns = new WeakMap<Socket, Turns>();

  constructor(private readonly bounds: ConnectionBounds) {}

  /** Returns `handle`, called for one request of a connection at a time. */
  inTurn(handle: Handle): Handle {
    return (request, response) => this.of(request).take(request, response, handle);
  }

  /** Returns the class of the server's answers, which tells of those that are not read. */
  responseClass(): typeof ServerResponse {
    const onUnread = (response: ServerResponse, chunk: unknown): void =>
      this.of(response.req).unread(response, chunk);
    class CountedResponse extends ServerResponse {
      // Node's signature has four forms; all are handed on as they are.
      override end(...given: unknown[]): this {
        super.end(...(given as []));
        if ((this.socket?.writableLength ?? 0) > 0) onUnread(this, given[0]);
        return this;
      }
    }
    // Node's type has a parameter for the request, of which this takes any.
    return CountedResponse as typeof ServerResponse;
  }

  /**
   * Returns the class of the server's requests, which stops the parser of a connection that has sent too many ahead. Node
   * parses all that it has read and makes two objects for each request, also once the socket is destroyed; it stops at an
   * upgrade, so the request that is one too many passes for one.
   */
  requestClass(): typeof IncomingMessage {
    const isTooMany = (socket: Socket): boolean => this.turns.get(socket)?.isTooMany() ?? false;
    class CountedRequest extends IncomingMessage {
      private asked = false;

      // Node sets it, from its constructor on, and asks for it.
      set upgrade(value: boolean) {
        this.asked = value;
      }

      get upgrade(): boolean {
        return this.asked || isTooMany(this.socket);
      }
    }
    return CountedRequest;
  }

  /** True while a request of this connection is not answered. */
  isAnswering(request: IncomingMessage): boolean {
    return this.turns.get(request.socket)?.isAnswering ?? false;
  }

  /** Counts what the connection of this request holds as this user's from now on. */
  belongsTo(request: IncomingMessage, user: User): void {
    this.of(request).user = user;
  }

  private of(request: IncomingMessage): Turns {
    const { socket } = request;
    let turns = this.turns.get(socket);
    if (turns === undefined) {
      turns = new Turns(socket, () => this.holder(request), this.bounds.stallMs);
      this.turns.set(socket, turns);
    }
    return turns;
  }

  private holder(request: IncomingMessage): Holder {
    const { socket } = request;
    const holder = this.bounds.inFlight.holder(this.bounds.addressOf(request), () => socket.destroy());
    socket.once('close', () => holder.close());
    return holder;
  }
}

/** The requests of one connection. */
class Turns {
  isAnswering = false;
  user: User | undefined;
  private readonly ahead: (() => void)[] = [];
  private held: Holder | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly open: () => Holder,
    private readonly stallMs: number,
  ) {}

  take(request: IncomingMessage, response: ServerResponse, handle: Handle): void {
    if (!this.isAnswering) {
      this.begin(request, response, handle);
      return;
    }
    this.ahead.push(() => this.begin(request, response, handle));
    this.countAhead();
  }

  /** True where no other request may wait: the connection is cut. */
  isTooMany(): boolean {
    if (this.ahead.length < maxAhead) return false;
    this.account.cut('pipelined');
    return true;
  }

  /** The answer has ended, and waits in this process for its client to read. */
  unread(response: ServerResponse, chunk: unknown): void {
    const { socket, account } = this;
    const { user } = this;
    if (user !== undefined) account.belongsTo(`${user.org}/${user.sub}`);
    // The bytes of an event's answer are one buffer for all who are given it.
    if (Buffer.isBuffer(chunk)) account.set('answers', chunk.length, chunk);
    else account.set('answers', socket.writableLength);
    // Node counts the time from the last byte that the client's side took.
    const onStall = (): void => account.cut('stalled');
    socket.setTimeout(this.stallMs, onStall);
    response.once('close', () => {
      socket.off('timeout', onStall);
      account.set('answers', 0);
    });
  }

  private begin(request: IncomingMessage, response: ServerResponse, handle: Handle): void {
    this.isAnswering = true;
    response.once('close', this.next);
    handle(request, response);
  }

  private readonly next = (): void => {
    this.isAnswering = false;
    const turn = this.ahead.shift();
    if (turn === undefined) return;
    if (!this.socket.writable) this.ahead.length = 0;
    this.countAhead();
    if (!this.socket.writable) return;
    // The time of an answer before may still run: this one may be held.
    this.socket.setTimeout(0);
    turn();
  };

  private countAhead(): void {
    this.account.set('requests', this.ahead.length * requestBytes);
  }

  private get account(): Holder {
    return (this.held ??= this.open());
  }
}
