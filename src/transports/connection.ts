/**
 * One open stream, from the upgrade to its close: who it is, whether it may be here, where it starts, what it asks for.
 * Events come to it through its reader; every frame leaves through its outbox.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { type CloseCode, type Code, codes, limits } from '../../schema/codes.ts';
import type { ResetReason, Transport } from '../../schema/frames.ts';
import type { Cohort } from '../../schema/http.ts';
import { asTurnoutError, fail, type TurnoutError } from '../errors.ts';
import type { Form, Part } from '../hub/chunk.ts';
import type { Feed } from '../hub/feed.ts';
import { Reader, type Sink } from '../hub/reader.ts';
import { anyTransport, type LiveSession, type MigrateOrder } from '../hub/sessions.ts';
import type { Identity } from '../auth/identity.ts';
import type { Position } from '../log/cursor.ts';
import type { EphemeralEvent } from '../log/entry.ts';
import { parseClientFrame, parseFirstFrame } from './client-frames.ts';
import { endedBy } from './close-report.ts';
import { Commands } from './commands.ts';
import { Deadlines } from './deadlines.ts';
import { frames } from './frames.ts';
import { Heartbeat } from './heartbeat.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import { makeRoom } from './room-for-user.ts';
import type { StreamDeps, Visitor } from './stream-deps.ts';

interface Admitted extends Visitor {
  readonly cohort: Cohort;
  readonly assignment: number;
}

interface Live {
  readonly feed: Feed;
  readonly reader: Reader;
  readonly commands: Commands;
}

export class StreamConnection implements LiveSession, Sink {
  readonly transport = 'websocket';
  readonly connection: string;
  readonly sinceMs: number;
  isMoving = false;
  private readonly deps: StreamDeps;
  private readonly ws: WebSocket;
  private readonly form: Form;
  private readonly outbox: Outbox;
  private readonly inbox: Inbox;
  private readonly heartbeat: Heartbeat;
  private readonly deadlines: Deadlines;
  private admitted: Admitted | undefined;
  private live: Live | undefined;
  private holdsFeed = false;
  private clientSession: string | undefined;
  private ending: CloseCode | undefined;
  private errors = 0;
  private isPingDue = false;

  constructor(deps: StreamDeps, ws: WebSocket, socket: Duplex & { bytesRead?: number }, form: Form) {
    this.deps = deps;
    this.ws = ws;
    this.form = form;
    this.connection = deps.clock.id();
    this.sinceMs = deps.clock.now();
    this.outbox = new Outbox(ws, socket, deps.traffic, () => this.onDrain());
    this.inbox = new Inbox({
      ws,
      clock: deps.clock,
      handle: (text) => this.handle(text),
      hasRoom: () => this.outbox.hasRoom,
    });
    this.heartbeat = new Heartbeat({
      wheel: deps.wheel,
      clock: deps.clock,
      pingMs: deps.pingMs,
      progress: () => (socket.bytesRead ?? 0) + this.outbox.drains,
      ping: () => this.ping(),
      dead: () => this.end('dead_peer'),
    });
    this.deadlines = new Deadlines(deps, (code) => this.end(code));
    ws.on('message', (data, isBinary) => {
      if (isBinary) this.end('binary_frame');
      else if (this.ending === undefined) this.inbox.push(textOf(data));
    });
    ws.on('error', (error) => {
      this.ending ??= endedBy(error);
      this.release();
    });
    ws.on('close', (code) => this.onClose(code));
  }

  get org(): string {
    return this.admitted?.identity.org ?? '';
  }
  get sub(): string {
    return this.admitted?.identity.sub ?? '';
  }
  get cohort(): Cohort {
    return this.admitted?.cohort ?? 'control';
  }
  get session(): string | undefined {
    return this.clientSession ?? this.admitted?.ticket?.session;
  }
  get assignment(): number | undefined {
    return this.admitted?.assignment;
  }
  get supports(): readonly string[] {
    return this.admitted?.ticket?.supports ?? anyTransport;
  }
  get override(): Transport | undefined {
    return this.admitted?.ticket?.override;
  }
  get hasRoom(): boolean {
    return this.outbox.hasRoom;
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
      if (!verdict.isAdmitted) {
        this.end(verdict.code);
        return;
      }
      this.admitted = { ...visitor, cohort: verdict.cohort, assignment: verdict.assignment };
      makeRoom(this.deps.sessions.ofUser(this.org, this.sub), this.deps.maxPerUser);
      this.deps.sessions.add(this);
      this.deadlines.standBy(visitor.identity);
      this.inbox.release();
    } catch (thrown) {
      this.endWith(thrown);
    }
  }

  position(): Position | undefined {
    return this.live?.reader.position;
  }

  behind(): number {
    return this.live === undefined ? 0 : Math.max(0, this.live.feed.head.seq - this.live.reader.position.seq);
  }

  migrate(order: MigrateOrder): void {
    if (this.isMoving || this.ending !== undefined) return;
    this.isMoving = true;
    if (this.live === undefined) {
      // Not acknowledged yet: there is nothing to move, and no frame may come before the ack.
      this.end(order.reason === 'kill-switch' ? 'kill_switch' : 'transport_not_assigned');
      return;
    }
    this.outbox.control(frames.migrate(this.live.reader.position, order));
    this.deadlines.moveWithin(order.withinMs);
  }

  /** Advises the client to open another connection in the time, which ends this one. */
  advise(withinMs: number): void {
    if (this.live === undefined) {
      this.end('draining');
      return;
    }
    this.deps.onAdvice('draining');
    this.isMoving = true;
    this.outbox.control(frames.reconnect(this.live.reader.position, withinMs, 'draining'));
  }

  end(code: CloseCode): void {
    if (this.ending !== undefined) return;
    this.ending = code;
    this.release();
    if (code === 'dead_peer') this.ws.terminate();
    else this.ws.close(codes[code].close, code);
  }

  /** Gives up on a peer that doesn't answer the close. */
  cut(): void {
    this.ws.terminate();
  }

  deliver(parts: readonly Part[]): void {
    this.outbox.deliver(parts);
  }

  reset(reason: ResetReason, head: Position): void {
    this.outbox.control(frames.reset(reason, head));
  }

  ephemeral(events: readonly EphemeralEvent[]): void {
    this.outbox.ephemeral(frames.ephemeral(events), events);
  }

  fail(fault: unknown): void {
    this.endWith(fault);
  }

  private handle(text: string): Promise<void> | undefined {
    try {
      if (this.live === undefined) return this.open(text).catch((thrown) => this.endWith(thrown));
      const parsed = parseClientFrame(text);
      const isCounted = !parsed.ok || parsed.frame.type !== 'publish';
      if (isCounted && this.inbox.isFlood()) this.end('flooding');
      else if (!parsed.ok) this.complain(parsed.error, parsed.ref);
      else return this.live.commands.obey(parsed.frame);
    } catch (thrown) {
      this.endWith(thrown);
    }
    return undefined;
  }

  /** The first frame: attach to the feed, place the reader, acknowledge, and let events come. */
  private async open(text: string): Promise<void> {
    const { admitted, deps } = this;
    if (admitted === undefined) return;
    const opening = parseFirstFrame(text);
    const { org, sub, reads } = admitted.identity;
    const services = new Set([...opening.services].filter((service) => reads.allows(service)));
    if (services.size === 0) throw fail('service_forbidden');
    this.clientSession = opening.session;

    const feed = await deps.hub.acquire(org);
    if (this.isOver) {
      deps.hub.release(org);
      return;
    }
    this.holdsFeed = true;
    const { position, reset } = await feed.place(opening.start);
    if (this.isOver) return;

    this.deadlines.shookHands();
    this.outbox.replayUpTo(opening.start.at === 'head' ? 0 : feed.head.seq);
    const { form } = this;
    const reader = new Reader({ feed, form, sub, services, position, sink: this, clock: deps.clock });
    const commands = new Commands(deps, reader, admitted.identity, {
      acknowledge: () => this.acknowledge(reader),
      complain: (error, ref) => this.complain(error, ref),
      reply: (frame) => this.outbox.control(frame),
      renewed: (identity) => this.renewed(identity),
    });
    this.live = { feed, reader, commands };
    this.acknowledge(reader);
    for (const service of opening.services)
      if (!services.has(service)) this.complain(fail('service_forbidden'), service);
    if (reset !== undefined) this.reset(reset, position);
    this.heartbeat.start();
    reader.pump();
  }

  private acknowledge(reader: Reader): void {
    const { clock, pingMs } = this.deps;
    const { connection, assignment = 0 } = this;
    this.outbox.control(frames.ack(reader.position, { nowMs: clock.now(), connection, pingMs, assignment }));
    // What follows the ack is the new set's: whoever was at the head under the old one may have more to read now.
    if (reader === this.live?.reader) queueMicrotask(() => reader.pump());
  }

  private complain(error: TurnoutError, ref: string | undefined): void {
    if (this.ending !== undefined) return;
    if (error.code === 'internal') this.deps.onFault(error);
    // Only the client's own mistakes count: while the log is away it may go on trying.
    if (codes[error.code].retry === 'never') this.errors += 1;
    if (this.errors > limits.errorsPerConnection) this.end('flooding');
    else this.outbox.control(frames.error(error.code, error.message, ref), 'error');
  }

  private renewed(identity: Identity): void {
    if (this.admitted === undefined || this.isOver) return;
    this.admitted = { ...this.admitted, identity };
    this.deadlines.standBy(identity);
  }

  private ping(): void {
    if (this.live === undefined) return;
    // At most one waits, and it waits here: behind a full socket it would say less than its time.
    this.isPingDue = !this.outbox.hasRoom;
    if (this.isPingDue) return;
    this.outbox.control(frames.ping(this.live.reader.position, this.deps.clock.now()));
    this.ws.ping();
  }

  private onDrain(): void {
    if (this.isPingDue) this.ping();
    this.live?.reader.pump();
    this.inbox.resume();
  }

  private endWith(thrown: unknown): void {
    const error = asTurnoutError(thrown);
    if (error.code === 'internal') this.deps.onFault(error);
    this.end(isCloseCode(error.code) ? error.code : 'internal');
  }

  /** Lets go of everything but the socket; harmless twice. */
  private release(): void {
    this.deadlines.stop();
    this.heartbeat.stop();
    this.inbox.close();
    this.outbox.close();
    this.live?.reader.close();
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
      services: this.live?.reader.services ?? new Set(),
      code: this.ending === undefined ? peerCode : codes[this.ending].close,
      reason: this.ending,
      durationMs: this.deps.clock.now() - this.sinceMs,
      isPlanned: this.isMoving || this.ending === 'draining',
      wasLive: this.live !== undefined,
    });
  }
}

const isCloseCode = (code: Code): code is CloseCode => 'close' in codes[code];

function textOf(data: unknown): string {
  // ws hands text over as one Buffer: its binaryType is 'nodebuffer' unless somebody changes it.
  return Buffer.isBuffer(data) ? data.toString('utf8') : '';
}
