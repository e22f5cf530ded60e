/** A gateway as the machine sees one, in memory and in any order of events: what it may say by the protocol, it may say here. */
import type { Envelope } from '../../../schema/envelope.ts';
import type { Transport } from '../../../schema/frames.ts';
import type { NegotiateResponse } from '../../../schema/http.ts';
import { initialState, step } from '../../../clients/js/machine.ts';
import type { Verdict } from '../../../clients/js/closes.ts';
import type { Effect, Event, State, TimerName } from '../../../clients/js/states.ts';
import type { Random } from '../../support/random.ts';

interface Connection {
  readonly id: number;
  readonly transport: Transport;
  /** Where it was asked to begin. */
  readonly from: { readonly epoch: string; readonly seq: number };
  epoch: string;
  seq: number;
  isAcked: boolean;
  /** The client closed it; what it still says is stale. */
  isStale: boolean;
}

const cursorOf = (epoch: string, seq: number): string => `${epoch}:${seq}`;

/** The client's machine against the model; breaks of a promise are collected in `faults`. */
export class World {
  state: State = initialState(['s'], cursorOf('e1', 0));
  readonly faults: string[] = [];
  readonly counts = { delivered: 0, repeats: 0, resets: 0, moves: 0, steps: 0 };
  private readonly random: Random;
  private epoch = 'e1';
  private head = 0;
  /** Heads of the logs that were emptied: a node that has not heard of it serves on from its ring. */
  private readonly oldHeads = new Map<string, number>();
  private assignment = 10;
  /** What the application must be handed next. */
  private expected = { epoch: 'e1', seq: 1 };
  private asked: number | undefined;
  private readonly timers = new Set<TimerName>();
  private connections: Connection[] = [];
  private readonly trail: string[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  get isCaughtUp(): boolean {
    return this.expected.epoch === this.epoch && this.expected.seq === this.head + 1;
  }

  say(event: Event): void {
    const before = this.state;
    const { state, effects } = step(before, event);
    this.state = state;
    this.counts.steps += 1;
    this.trail.push(`${before.phase} ${JSON.stringify(event).slice(0, 120)} -> ${state.phase}`);
    if (before.phase === 'moving' && state.live?.id === before.next.id) this.counts.moves += 1;
    for (const effect of effects) this.carryOut(effect, event);
    const writers = this.connections.filter(({ isAcked, isStale }) => isAcked && !isStale);
    if (writers.length > 1) this.fault('two live writers');
    const known = new Set([state.live?.id, state.next?.id].filter((id) => id !== undefined));
    const open = this.connections.filter(({ isStale }) => !isStale).map(({ id }) => id);
    if (open.length !== known.size || !open.every((id) => known.has(id)))
      this.fault(`connections ${open.join()} are open, ${[...known].join()} are known`);
    const isWaitingForNobody =
      (state.phase === 'waiting' && !this.timers.has('retry')) ||
      (state.next !== undefined && !this.timers.has('opening')) ||
      ((state.phase === 'negotiating' || state.phase === 'asking') && this.asked !== state.memory.asks);
    if (isWaitingForNobody) this.fault(`${state.phase}, and nothing will end it`);
  }

  publish(): void {
    this.head += 1;
  }

  /** The log lost its data; each connection learns it in its own time. */
  empty(): void {
    this.oldHeads.set(this.epoch, this.head);
    this.epoch = `e${Number(this.epoch.slice(1)) + 1}`;
    this.head = 0;
  }

  decide(transport: Transport): void {
    if (this.asked === undefined) return;
    const ask = this.asked;
    this.asked = undefined;
    const assignment = this.random.chance(0.2) ? this.assignment - 3 : this.assignment;
    const answer: NegotiateResponse = {
      transport,
      cohort: 'canary',
      reason: 'rollout',
      assignment,
      urls: { websocket: '/stream', 'long-poll': '/poll' },
      client: { ...this.state.memory.settings, autoreconnect: this.random.chance(0.7) },
    };
    this.say({ type: 'negotiated', ask, answer });
  }

  refuse(verdict: Verdict): void {
    if (this.asked === undefined) return;
    const ask = this.asked;
    this.asked = undefined;
    this.say({ type: 'refused', ask, verdict, code: 'test' });
  }

  /** The one that was picked says something that it may say. Stale ones go on talking. */
  talk(chooseStale = true): void {
    const able = this.connections.filter(({ isStale }) => chooseStale || !isStale);
    if (able.length === 0) return;
    const connection = this.random.pick(able);
    const { id } = connection;
    if (!connection.isAcked) {
      const isLate = this.oldHeads.has(connection.from.epoch) && this.random.chance(0.5);
      const isServed = connection.from.epoch === this.epoch || isLate;
      if (isServed) Object.assign(connection, connection.from);
      else Object.assign(connection, { epoch: this.epoch, seq: this.head });
      connection.isAcked = true;
      const at = this.placeOf(connection);
      this.say({ type: 'opened', link: id, at: connection.transport === 'websocket' ? at : undefined });
      // The reset follows its ack, unless the connection is lost just between.
      if (!isServed && this.random.chance(0.8)) this.say({ type: 'reset', link: id, at, reason: 'epoch' });
      else if (!isServed) this.lose('window', connection);
      return;
    }
    const isEmptied = connection.epoch !== this.epoch;
    if (isEmptied && this.random.chance(0.4)) {
      Object.assign(connection, { epoch: this.epoch, seq: this.head });
      this.say({ type: 'reset', link: id, at: this.placeOf(connection), reason: 'epoch' });
      return;
    }
    const head = isEmptied ? (this.oldHeads.get(connection.epoch) ?? 0) : this.head;
    const count = Math.min(this.random.int(0, 3), head - connection.seq);
    if (count <= 0) {
      this.say({ type: 'progress', link: id, at: this.placeOf(connection), why: 'ping' });
      return;
    }
    const events = Array.from({ length: count }, (_, index) =>
      eventOf(connection.epoch, connection.seq + index + 1),
    );
    connection.seq += count;
    this.say({ type: 'events', link: id, at: this.placeOf(connection), events });
  }

  lose(verdict: Verdict, which?: Connection): void {
    const open = this.connections.filter(({ isStale }) => !isStale);
    const lost = which ?? (open.length > 0 ? this.random.pick(open) : undefined);
    if (lost === undefined || lost.isStale) return;
    this.connections = this.connections.filter((one) => one !== lost);
    this.say({ type: 'closed', link: lost.id, verdict, code: 1006 });
  }

  order(kind: 'migrate' | 'reconnect' | 'due'): void {
    const acked = this.connections.filter(({ isAcked }) => isAcked);
    if (acked.length === 0) return;
    const connection = this.random.pick(acked);
    const { id: link, transport } = connection;
    const { cursor } = this.placeOf(connection);
    this.assignment += this.random.int(0, 1);
    const { assignment } = this;
    if (kind === 'migrate' && transport === 'websocket')
      this.say({ type: 'migrate', link, transport: 'long-poll', assignment, cursor });
    if (kind === 'reconnect' && transport === 'websocket')
      this.say({ type: 'reconnect', link, withinMs: 5000 });
    if (kind === 'due' && transport === 'long-poll') this.say({ type: 'due', link, assignment });
  }

  ring(): void {
    if (this.timers.size === 0) return;
    const timer = this.random.pick([...this.timers]);
    this.timers.delete(timer);
    this.say({ type: 'timer', timer });
  }

  /** Nothing fails any more: until the client has everything. */
  heal(): void {
    for (let round = 0; round < 2000 && !(this.isCaughtUp && this.state.phase === 'live'); round += 1) {
      const { phase } = this.state;
      if (phase === 'idle' || phase === 'failed') this.say({ type: 'start' });
      else if (this.asked !== undefined) this.decide('websocket');
      else if (phase === 'waiting') this.ring();
      else this.talk(false);
    }
    if (!this.isCaughtUp)
      this.fault(`it expects ${JSON.stringify(this.expected)}, the head is ${this.epoch} ${this.head}`);
  }

  private placeOf({ epoch, seq }: Connection) {
    return { epoch, seq, cursor: cursorOf(epoch, seq) };
  }

  private carryOut(effect: Effect, event: Event): void {
    switch (effect.do) {
      case 'negotiate':
        this.asked = effect.ask;
        break;
      case 'open': {
        const [epoch = '', seq = ''] = (effect.cursor ?? '').split(':');
        const from = { epoch, seq: Number(seq) };
        const { id, transport } = effect.link;
        this.connections.push({ id, transport, from, epoch: '', seq: 0, isAcked: false, isStale: false });
        break;
      }
      case 'close':
        this.closed(effect.link, event);
        break;
      case 'deliver':
        this.counts.repeats += effect.repeats;
        for (const { seq, payload } of effect.events) this.handOver(String(payload), seq ?? 0);
        break;
      case 'reset':
        this.counts.resets += 1;
        this.expected = { epoch: effect.at.epoch, seq: effect.at.seq + 1 };
        break;
      case 'wait':
        this.timers.add(effect.timer);
        break;
      case 'cancel':
        this.timers.delete(effect.timer);
        break;
      case 'services':
      case 'ephemeral':
      case 'pong':
        break;
    }
  }

  private closed(id: number, event: Event): void {
    const connection = this.connections.find((one) => one.id === id);
    if (connection === undefined) return;
    connection.isStale = true;
    const live = this.connections.find((one) => one.id === this.state.live?.id);
    // Of another log without a word: there is nothing to be served by.
    const isForeign = 'at' in event && event.at !== undefined && event.at.epoch !== this.expected.epoch;
    const isMeant = event.type === 'stop' || event.type === 'reset' || isForeign;
    if (connection.isAcked && !isMeant && live?.isAcked !== true)
      this.fault('the old connection was closed before the new one was acknowledged');
    // Its last words are still on their way, for a while.
    if (this.connections.length > 6) this.connections = this.connections.filter((one) => !one.isStale);
  }

  private handOver(epoch: string, seq: number): void {
    this.counts.delivered += 1;
    if (epoch !== this.expected.epoch || seq !== this.expected.seq)
      this.fault(`${epoch} ${seq} was handed over where ${JSON.stringify(this.expected)} was due`);
    this.expected = { epoch, seq: seq + 1 };
  }

  private fault(what: string): void {
    this.faults.push(`${what}, after:\n${this.trail.slice(-25).join('\n')}`);
  }
}

function eventOf(epoch: string, seq: number): Envelope {
  const timestamp = '2026-01-01T00:00:00.000Z';
  return { seq, id: `${epoch}-${seq}`, service: 's', type: 'test', timestamp, payload: epoch };
}
