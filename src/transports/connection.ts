/**
 * One open stream, from the upgrade to its close: who it is, whether it may be here, where it starts, what it asks for.
 * Events come to it through its reader; every frame leaves through its outbox.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { type CloseCode, codes, limits } from '../../schema/codes.ts';
import type { MigrateOrder, Transport } from '../../schema/frames.ts';
import type { Cohort } from '../../schema/http.ts';
import type { Cancel } from '../clock.ts';
import { asTurnoutError, fail } from '../errors.ts';
import type { Form } from '../hub/chunk.ts';
import { Reader } from '../hub/reader.ts';
import { anyTransport, type LiveSession } from '../hub/sessions.ts';
import type { Identity } from '../auth/identity.ts';
import type { Position } from '../log/cursor.ts';
import { parseFirstFrame } from './client-frames.ts';
import { closeCodeOf, endedBy } from './close-report.ts';
import { Commands } from './commands.ts';
import type { StreamDeps, Visitor, WayIn } from './deps.ts';
import { frames } from './frames.ts';
import { Heartbeat } from './heartbeat.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import { SessionValidity } from './session-validity.ts';

export class StreamConnection implements LiveSession {
  readonly transport = 'websocket';
  readonly connection: string;
  readonly sinceMs: number;
  // Who it is: as below until the visitor is admitted.
  org = '';
  sub = '';
  cohort: Cohort = 'control';
  assignment: number | undefined;
  session: string | undefined;
  supports = anyTransport;
  override: Transport | undefined;
  isMoving = false;
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  ending: CloseCode | undefined;
  private readonly heartbeat: Heartbeat;
  /** Of the first frame; once that came, of the move that it was told to make. */
  private cancelDeadline: Cancel;
  private validity: SessionValidity | undefined;
  private identity: Identity | undefined;
  /** Of an acknowledged stream. */
  private commands: Commands | undefined;
  private holdsFeed = false;
  private isPingDue = false;

  constructor(
    private readonly deps: StreamDeps,
    private readonly ws: WebSocket,
    socket: Duplex & { bytesRead?: number },
    private readonly form: Form,
    private readonly way: WayIn,
  ) {
    this.connection = deps.clock.id();
    this.sinceMs = deps.clock.now();
    this.outbox = new Outbox(ws, socket, deps.traffic, this);
    this.inbox = new Inbox(ws, deps.clock, this.outbox, way.holder, (text) => {
      if (this.commands !== undefined) return this.commands.handle(text);
      return this.open(text).catch((thrown) => this.fail(thrown));
    });
    this.heartbeat = new Heartbeat(deps, {
      progress: () => (socket.bytesRead ?? 0) + this.outbox.drains,
      ping: () => this.ping(),
      dead: () => this.end('dead_peer'),
    });
    this.cancelDeadline = deps.wheel.after(limits.handshakeMs, () => this.end('handshake_timeout'));
    ws.on('message', (data, isBinary) => {
      if (isBinary) this.end('binary_frame');
      // ws hands text over as one Buffer: its binaryType is 'nodebuffer' unless somebody changes it.
      else if (this.ending === undefined) this.inbox.push(Buffer.isBuffer(data) ? data.toString() : '');
    });
    ws.on('error', (error) => {
      this.ending ??= endedBy(error);
      this.release();
    });
    ws.on('close', (code) => this.onClose(code));
  }

  /** We ended it, or its client has gone: what was waited for comes too late. */
  private get isOver(): boolean {
    return this.ending !== undefined || this.ws.readyState !== this.ws.OPEN;
  }

  /** Admits the visitor or closes the stream with the reason why not. Frames that came meanwhile are handled then. */
  async start(identify: () => Promise<Visitor>): Promise<void> {
    try {
      const visitor = await identify();
      const verdict = await this.deps.admission.stream(visitor.identity, visitor.ticket);
      if (this.isOver) return;
      if (verdict.isAdmitted) this.admit(visitor, verdict);
      else this.end(verdict.code);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  private admit({ identity, ticket }: Visitor, verdict: { cohort: Cohort; assignment: number }): void {
    this.org = identity.org;
    this.sub = identity.sub;
    this.cohort = verdict.cohort;
    this.assignment = verdict.assignment;
    this.session = ticket?.session;
    this.supports = ticket?.supports ?? anyTransport;
    this.override = ticket?.override;
    this.identity = identity;
    this.way.holder.belongsTo(`${identity.org}/${identity.sub}`);
    this.deps.sessions.makeRoom(this.org, this.sub, this.deps.maxPerUser);
    this.deps.sessions.add(this);
    this.watchValidity(identity);
    this.inbox.release();
  }

  /** It lasts as long as this token, or the one that it is renewed by, or whoever vouches for the user. */
  watchValidity(identity: Identity): void {
    if (this.isOver) return;
    this.validity?.close();
    this.validity = new SessionValidity(this.deps, identity, (code) => this.end(code));
  }

  position(): Position | undefined {
    return this.commands?.reader.position;
  }

  behind(): number {
    return this.commands?.reader.behind() ?? 0;
  }

  migrate(order: MigrateOrder): void {
    if (this.isMoving || this.ending !== undefined) return;
    this.isMoving = true;
    if (this.commands === undefined) {
      // Not acknowledged yet: there is nothing to move, and no frame may come before the ack.
      this.end(order.reason === 'kill-switch' ? 'kill_switch' : 'transport_not_assigned');
      return;
    }
    this.outbox.control(frames.migrate(this.commands.reader.position, order));
    this.cancelDeadline = this.deps.wheel.after(order.withinMs, () => this.end('moved'));
  }

  /** Advises the client to open another connection in the time, which ends this one. */
  advise(withinMs: number): void {
    if (this.commands === undefined) {
      this.end('draining');
      return;
    }
    this.deps.onAdvice('draining');
    this.isMoving = true;
    this.outbox.control(frames.reconnect(this.commands.reader.position, withinMs, 'draining'));
  }

  end(code: CloseCode): void {
    if (this.ending !== undefined) return;
    this.ending = code;
    this.release();
    if (this.identity === undefined) this.way.refused();
    if (code === 'dead_peer') this.ws.terminate();
    else this.ws.close(codes[code].close, code);
  }

  /** Gives up on a peer that doesn't answer the close. */
  readonly cut = (): void => this.ws.terminate();

  fail(thrown: unknown): void {
    const error = asTurnoutError(thrown);
    if (error.code === 'internal') this.deps.onFault(error);
    this.end(closeCodeOf(error));
  }

  /** The first frame: attach to the feed, place the reader, acknowledge, and let events come. */
  private async open(text: string): Promise<void> {
    const { identity, deps, form } = this;
    if (identity === undefined) return;
    const opening = parseFirstFrame(text);
    const { org, sub, reads } = identity;
    const services = new Set([...opening.services].filter((service) => reads.allows(service)));
    if (services.size === 0) throw fail('service_forbidden');
    this.session = opening.session ?? this.session;

    const feed = await deps.hub.acquire(org);
    if (this.isOver) {
      deps.hub.release(org);
      return;
    }
    this.holdsFeed = true;
    const { position, reset } = await feed.place(opening.start);
    if (this.isOver) return;

    this.cancelDeadline();
    this.outbox.replayUpTo(opening.start.at === 'head' ? 0 : feed.head.seq);
    const reader = new Reader({ feed, form, sub, services, position, sink: this.outbox, clock: deps.clock });
    const commands = new Commands(deps, reader, identity, this);
    this.commands = commands;
    commands.acknowledge();
    for (const service of opening.services)
      if (!services.has(service)) commands.complain(fail('service_forbidden'), service);
    if (reset !== undefined) this.outbox.reset(reset, position);
    this.heartbeat.start();
    reader.pump();
  }

  private ping(): void {
    if (this.commands === undefined) return;
    // At most one waits, and it waits here: behind a full socket it would say less than its time.
    this.isPingDue = !this.outbox.hasRoom;
    if (this.isPingDue) return;
    this.outbox.control(frames.ping(this.commands.reader.position, this.deps.clock.now()));
    this.ws.ping();
  }

  onDrain(): void {
    if (this.isPingDue) this.ping();
    this.commands?.reader.pump();
    this.inbox.resume();
  }

  /** Lets go of everything but the socket; harmless twice. */
  private release(): void {
    this.cancelDeadline();
    this.validity?.close();
    this.heartbeat.stop();
    this.inbox.close();
    this.outbox.close();
    this.commands?.reader.close();
    this.deps.sessions.remove(this);
    if (this.holdsFeed) this.deps.hub.release(this.org);
    this.holdsFeed = false;
  }

  private onClose(peerCode: number): void {
    this.release();
    this.deps.onClosed({
      connection: this.connection,
      org: this.org,
      user: this.sub,
      session: this.session,
      services: this.commands?.reader.services ?? new Set(),
      code: this.ending === undefined ? peerCode : codes[this.ending].close,
      reason: this.ending,
      durationMs: this.deps.clock.now() - this.sinceMs,
      isPlanned: this.isMoving || this.ending === 'draining',
      wasLive: this.commands !== undefined,
    });
  }
}
