/**
 * The stream's way in: takes upgrades in front of the HTTP app, and keeps what is open. What is a well-formed upgrade is
 * accepted and then closed with a code that a browser can read; only what is not, or comes in a flood, gets a status.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { type Code, limits } from '../../schema/codes.ts';
import type { BytesInFlight } from '../async/bytes-in-flight.ts';
import { inSlices } from '../async/slices.ts';
import { Credential, readCredential } from '../auth/credential.ts';
import { fail } from '../errors.ts';
import type { Form } from '../hub/chunk.ts';
import type { Authenticator } from '../auth/identity.ts';
import { StreamConnection } from './connection.ts';
import { takesSharedDeflate, understoodOffers } from './extensions.ts';
import { streamForm } from './frames.ts';
import type { StreamDeps, Visitor } from './deps.ts';
import { type Seat, type SeatBounds, Seats } from './seats.ts';
import { cutSoon, refuseUpgrade, serveWithoutUpgrade } from './turned-away.ts';
import { inTurns, toldPart, until } from './turns.ts';

export interface WebSocketOptions extends StreamDeps, SeatBounds {
  readonly authenticator: Authenticator;
  /** Path of the stream, base path included. */
  readonly path: string;
  readonly compressMinBytes: number;
  /** The address that an upgrade counts for; undefined where limits by address are off. */
  addressOf(request: IncomingMessage): string | undefined;
  readonly inFlight: BytesInFlight;
  /** True while an earlier request of this connection is not answered: an upgrade would write into its answer. */
  isAnswering(request: IncomingMessage): boolean;
  /** True where a browser page of this origin may open streams. */
  isOriginAllowed(origin: string, host: string | undefined): boolean;
  /**
   * The cookie that opens a stream where nothing else was brought; absent: none does. A browser sends it along whatever page
   * opens the stream: only pages that `mayOpen` allows may.
   */
  readonly cookie?:
    | { readonly name: string; mayOpen(origin: string | undefined, host: string | undefined): boolean }
    | undefined;
  /** True where the request's target or Host cannot be read; absent: each can. */
  isMalformed?(request: IncomingMessage): boolean;
  /** Counts one more upgrade from this peer. False: it comes in a flood and gets 429. */
  mayUpgrade(request: IncomingMessage): boolean;
}

// How long a peer may take to answer the close of its stream.
const closeMs = 10_000;
// Pieces that a frame may come in, as the sender cut it, and as the network did: clients send a frame whole.
const maxFragments = 64;
const maxChunks = 1024;
// The part of a drain's time that a stream has once it was told: a fifth is left for a slow hand-over or a stalled node.
const adviceLength = 0.3;
// How long a drained peer may take to answer the close, which comes behind what it still has to read.
const goodbyeMs = 1500;

export class WebSocketTransport {
  private readonly server: WebSocketServer;
  private readonly connections = new Set<StreamConnection>();
  private readonly seats: Seats;
  private readonly plain: Form = streamForm(undefined);
  private readonly deflated: Form;
  private isDraining = false;

  constructor(private readonly options: WebSocketOptions) {
    this.seats = new Seats(options);
    this.deflated = streamForm(options.compressMinBytes);
    const serverOptions = {
      noServer: true,
      WebSocket: ReasonedWebSocket,
      clientTracking: false,
      maxPayload: limits.frameBytes,
      maxFragments,
      maxBufferedChunks: maxChunks,
      closeTimeout: closeMs,
      // Only what clients send is inflated by ws; what they are sent was deflated once for all of them.
      perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true },
    };
    this.server = new WebSocketServer(serverOptions);
    // A broken hand-shake: ws would answer in HTML.
    this.server.on('wsClientError', (error, socket, request) => {
      const isMethod = request.method !== 'GET';
      refuseUpgrade(socket, isMethod ? 'method_not_allowed' : 'bad_request', options, error.message);
    });
  }

  get open(): number {
    return this.connections.size;
  }

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      if (this.options.isAnswering(request)) socket.destroy();
      else if (request.headers.upgrade?.toLowerCase() === 'websocket') this.upgrade(request, socket, head);
      else serveWithoutUpgrade(server, request, socket, head);
    });
  }

  /** Tells every stream to go elsewhere, each at its own moment, and closes those that have not when the time is up. */
  async drain(withinMs: number): Promise<void> {
    this.isDraining = true;
    const { clock } = this.options;
    const endMs = clock.monotonic() + withinMs;
    const adviceMs = Math.floor(withinMs * adviceLength);
    const advise = (connection: StreamConnection): void => {
      if (this.connections.has(connection)) connection.advise(adviceMs);
    };
    const isOver = (): boolean => this.connections.size === 0;
    await inTurns([...this.connections], withinMs * toldPart, clock, advise, isOver);
    await until(isOver, endMs, clock);
    await inSlices(this.connections, clock, (connection) => connection.end('draining'));
    await until(isOver, clock.monotonic() + goodbyeMs, clock);
    await inSlices(this.connections, clock, (connection) => connection.cut());
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Between here and the hand-over to ws the socket is nobody's: a reset must not end the process.
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    const refusal = this.refusal(request);
    if (refusal !== undefined) {
      refuseUpgrade(socket, refusal, this.options);
      return;
    }
    const { headers } = request;
    headers['sec-websocket-extensions'] = understoodOffers(headers['sec-websocket-extensions'] ?? '');
    let extensions = '';
    const onHeaders = (answer: string[]): void => {
      extensions = answer.find((header) => /^sec-websocket-extensions:/i.test(header)) ?? '';
    };
    this.server.once('headers', onHeaders);
    this.server.handleUpgrade(request, socket, head, (ws) => {
      socket.off('error', onError);
      const form = takesSharedDeflate(extensions) ? this.deflated : this.plain;
      const address = this.options.addressOf(request);
      const holder = this.options.inFlight.holder(address, () => connection.cut());
      const seat = this.seats.take(address);
      const refused = (): void => {
        seat.leave();
        cutSoon(socket, this.options.wheel);
      };
      const connection = new StreamConnection(this.options, ws, socket, form, { holder, refused });
      const gone = this.enter(connection);
      ws.on('close', () => {
        seat.leave();
        gone();
        holder.close();
      });
      // A drain cuts those whom it finds; who comes after it is turned away, and must not keep the node from its end.
      if (this.isDraining) this.options.wheel.after(goodbyeMs, () => connection.cut());
      void connection.start(() => this.identify(request, seat));
    });
    this.server.off('headers', onHeaders);
  }

  /** Counts an open stream, until what it returns is called. */
  private enter(connection: StreamConnection): () => void {
    const { traffic } = this.options;
    this.connections.add(connection);
    traffic.activeStreams += 1;
    traffic.acceptedStreams += 1;
    return () => {
      this.connections.delete(connection);
      traffic.activeStreams -= 1;
    };
  }

  /** What isn't an upgrade of ours, or comes in a flood. */
  private refusal(request: IncomingMessage): Code | undefined {
    if (this.options.isMalformed?.(request) === true) return 'bad_request';
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== this.options.path) return 'not_found';
    const isFull = this.seats.isFullFor(this.options.addressOf(request));
    const isFlood = isFull || !this.options.mayUpgrade(request);
    return isFlood ? 'rate_limited' : undefined;
  }

  private async identify(request: IncomingMessage, seat: Seat): Promise<Visitor> {
    const visitor = await this.visitorOf(request, seat);
    seat.know();
    return visitor;
  }

  private async visitorOf(request: IncomingMessage, seat: Seat): Promise<Visitor> {
    const { options } = this;
    const { origin, host, authorization } = request.headers;
    const { authenticator } = options;
    if (this.isDraining) throw fail('draining');
    seat.mayAsk();
    if (origin !== undefined && !options.isOriginAllowed(origin, host)) throw fail('origin_forbidden');

    const query = new URLSearchParams((request.url ?? '').split('?').slice(1).join('?'));
    const ticketText = query.get('ticket');
    if (ticketText === null) {
      const credential = this.credentialOf(request, query.get('access_token'));
      return {
        identity: await authenticator.verify(credential, this.options.addressOf(request)),
        ticket: undefined,
      };
    }
    const ticket = await authenticator.verifyTicket(ticketText);
    if (authorization !== undefined) {
      const identity = await authenticator.verify(
        Credential.authorization(authorization),
        this.options.addressOf(request),
      );
      const isSame = identity.org === ticket.identity.org && identity.sub === ticket.identity.sub;
      if (!isSame) throw fail('unauthorized', 'the ticket is of another user or org');
    }
    return { identity: ticket.identity, ticket };
  }

  /** The header, else the query's token, else the cookie. @throws origin_forbidden for a cookie from a foreign page */
  private credentialOf(request: IncomingMessage, queryToken: string | null): Credential | undefined {
    const { authorization, cookie: cookies, origin, host } = request.headers;
    const { cookie } = this.options;
    if (authorization === undefined && queryToken !== null) return Credential.bearer(queryToken);
    const found = readCredential({ authorization, cookie: cookies }, cookie?.name);
    if (found?.place === 'cookie' && cookie?.mayOpen(origin, host) !== true) throw fail('origin_forbidden');
    return found;
  }
}

/** Says why also where ws itself closes: a frame that is too large, or no WebSocket at all. */
class ReasonedWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? reasonsOfWs.get(code ?? 0));
  }
}

const reasonsOfWs: ReadonlyMap<number, Code> = new Map([
  [1002, 'bad_frame'],
  [1007, 'bad_frame'],
  [1008, 'flooding'],
  [1009, 'too_large'],
]);
