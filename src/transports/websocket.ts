/**
 * The stream's way in: takes upgrades in front of the HTTP app, and keeps what is open. What is a well-formed upgrade is
 * accepted and then closed with a code that a browser can read; only what is not, or comes in a flood, gets a status.
 */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { type Code, codes, limits } from '../../schema/codes.ts';
import { Credential, readCredential } from '../auth/credential.ts';
import { isLoopbackHost } from '../config/config.ts';
import { errorBody, fail, retryAfterOf } from '../errors.ts';
import type { Form } from '../hub/chunk.ts';
import type { Authenticator } from '../auth/identity.ts';
import { StreamConnection } from './connection.ts';
import { takesSharedDeflate, understoodOffers } from './extensions.ts';
import { streamForm } from './frames.ts';
import type { StreamDeps, Visitor } from './deps.ts';
import { inTurns, toldPart, until } from './turns.ts';

export interface WebSocketOptions extends StreamDeps {
  readonly authenticator: Authenticator;
  /** Path of the stream, base path included. */
  readonly path: string;
  readonly maxConnections: number;
  readonly compressMinBytes: number;
  readonly maxPerAddress: number;
  /** Where an upgrade comes from; undefined where nobody knows. */
  addressOf(request: IncomingMessage): string | undefined;
  /** True where a browser page of this origin may open streams. */
  isOriginAllowed(origin: string, host: string | undefined): boolean;
  /**
   * The cookie that opens a stream where nothing else was brought; absent: none does. A browser sends it along whatever page
   * opens the stream: only pages that `mayOpen` allows may.
   */
  readonly cookie?:
    | { readonly name: string; mayOpen(origin: string | undefined, host: string | undefined): boolean }
    | undefined;
  /** Counts one more upgrade from this peer. False: it comes in a flood and gets 429. */
  mayUpgrade(request: IncomingMessage): boolean;
}

// How long a refused peer may take to read why.
const refusalMs = 1000;
// The part of a drain's time that a stream has once it was told: a fifth is left for a slow hand-over or a stalled node.
const adviceLength = 0.3;
// How long a drained peer may take to answer the close, which comes behind what it still has to read.
const goodbyeMs = 1500;

export class WebSocketTransport {
  private readonly server: WebSocketServer;
  private readonly connections = new Set<StreamConnection>();
  private readonly byAddress = new Map<string, number>();
  private readonly plain: Form = streamForm(undefined);
  private readonly deflated: Form;
  private isDraining = false;

  constructor(private readonly options: WebSocketOptions) {
    this.deflated = streamForm(options.compressMinBytes);
    this.server = new WebSocketServer({
      noServer: true,
      WebSocket: ReasonedWebSocket,
      clientTracking: false,
      maxPayload: limits.frameBytes,
      // Only what clients send is inflated by ws; what they are sent was deflated once for all of them.
      perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true },
    });
    // A broken hand-shake: ws would answer in HTML.
    this.server.on('wsClientError', (error, socket, request) => {
      const isMethod = request.method !== 'GET';
      this.refuse(socket, isMethod ? 'method_not_allowed' : 'bad_request', error.message);
    });
  }

  get open(): number {
    return this.connections.size;
  }

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      if (request.headers.upgrade?.toLowerCase() === 'websocket') this.upgrade(request, socket, head);
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
    for (const connection of this.connections) connection.end('draining');
    await until(isOver, clock.monotonic() + goodbyeMs, clock);
    for (const connection of this.connections) connection.cut();
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Between here and the hand-over to ws the socket is nobody's: a reset must not end the process.
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    const refusal = this.refusal(request);
    if (refusal !== undefined) {
      this.refuse(socket, refusal);
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
      const connection = new StreamConnection(this.options, ws, socket, form);
      const leave = this.enter(connection, this.countedAddress(request));
      ws.on('close', leave);
      // A drain cuts those whom it finds; who comes after it is turned away, and must not keep the node from its end.
      if (this.isDraining) this.options.wheel.after(goodbyeMs, () => connection.cut());
      void connection.start(() => this.identify(request));
    });
    this.server.off('headers', onHeaders);
  }

  /** Counts an open stream, until what it returns is called. */
  private enter(connection: StreamConnection, address: string | undefined): () => void {
    const { traffic } = this.options;
    this.connections.add(connection);
    traffic.activeStreams += 1;
    traffic.acceptedStreams += 1;
    if (address !== undefined) this.byAddress.set(address, (this.byAddress.get(address) ?? 0) + 1);
    return () => {
      this.connections.delete(connection);
      traffic.activeStreams -= 1;
      if (address === undefined) return;
      const left = (this.byAddress.get(address) ?? 1) - 1;
      if (left > 0) this.byAddress.set(address, left);
      else this.byAddress.delete(address);
    };
  }

  /** Undefined for a loopback peer: limits by address are off there. */
  private countedAddress(request: IncomingMessage): string | undefined {
    const address = this.options.addressOf(request);
    return address === undefined || isLoopbackHost(address) ? undefined : address;
  }

  /** What isn't an upgrade of ours, or comes in a flood. */
  private refusal(request: IncomingMessage): Code | undefined {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== this.options.path) return 'not_found';
    const open = this.byAddress.get(this.countedAddress(request) ?? '') ?? 0;
    const isFlood = open >= this.options.maxPerAddress || !this.options.mayUpgrade(request);
    return isFlood ? 'rate_limited' : undefined;
  }

  private refuse(socket: Duplex, code: Code, message: string = codes[code].message): void {
    const { status } = codes[code];
    const { clock, wheel } = this.options;
    const retryAfterS = retryAfterOf({ code });
    const body = JSON.stringify(errorBody({ code, message }, clock.id()));
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(retryAfterS === undefined ? [] : [`Retry-After: ${retryAfterS}`]),
      // What is spoken here, for a client of another version (RFC 6455, 4.4).
      ...(status === 400 ? ['Sec-WebSocket-Version: 13'] : []),
      'Connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
    // Read what still comes, so that the answer isn't lost to a reset; but not for ever.
    socket.resume();
    wheel.after(refusalMs, () => void socket.destroy());
  }

  private async identify(request: IncomingMessage): Promise<Visitor> {
    const { options } = this;
    const { origin, host, authorization } = request.headers;
    const { authenticator } = options;
    if (this.isDraining) throw fail('draining');
    if (this.connections.size > options.maxConnections) throw fail('overloaded');
    if (origin !== undefined && !options.isOriginAllowed(origin, host)) throw fail('origin_forbidden');

    const query = new URLSearchParams((request.url ?? '').split('?').slice(1).join('?'));
    const ticketText = query.get('ticket');
    if (ticketText === null) {
      const credential = this.credentialOf(request, query.get('access_token'));
      return {
        identity: await authenticator.verify(credential, this.countedAddress(request)),
        ticket: undefined,
      };
    }
    const ticket = await authenticator.verifyTicket(ticketText);
    if (authorization !== undefined) {
      const identity = await authenticator.verify(
        Credential.authorization(authorization),
        this.countedAddress(request),
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
  [1009, 'too_large'],
]);

/**
 * An upgrade to anything else (h2c, say) is an offer that a server may pass over: the request is answered as if it had
 * not been made. Node hands such a socket to the `upgrade` listener and would leave it hanging.
 */
function serveWithoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/1.1`];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const [name = '', value = ''] = request.rawHeaders.slice(index, index + 2);
    if (!/^(upgrade|connection|http2-settings)$/i.test(name)) lines.push(`${name}: ${value}`);
  }
  if (head.length > 0) socket.unshift(head);
  socket.unshift(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
  server.emit('connection', socket);
}
