/** Carries out what the machine decides: timers, connections, questions, callbacks. Decides nothing itself. */
import type { Transport } from '../../schema/frames.ts';
import { drawMs } from './backoff.ts';
import { type Callbacks, type ClientState, Delivery } from './delivery.ts';
import type { Cancel, Environment } from './environment.ts';
import { initialState, step } from './machine.ts';
import { Negotiation } from './negotiation.ts';
import { PublishDesk } from './publish.ts';
import type { Effect, Event, Link, State, TimerName } from './states.ts';
import { emptyStats, type Stats } from './stats.ts';
import type { TokenSource } from './token.ts';
import type { LinkNews, LinkParts, OpenLink, Reply } from './transports/link.ts';
import { PollLink, type PollQuestion } from './transports/long-poll.ts';
import { StreamLink } from './transports/websocket.ts';

export interface DriverParts {
  readonly environment: Environment;
  /** Base address, without a slash at its end. */
  readonly url: string;
  readonly token: TokenSource;
  readonly services: readonly string[];
  readonly cursor: string | undefined;
  readonly session: string;
  readonly override: Transport | undefined;
  readonly sdk: string;
  readonly dedupTypes: readonly string[] | undefined;
  readonly callbacks: Callbacks;
}

export class Driver {
  readonly stats: Stats = emptyStats();
  readonly desk: PublishDesk;
  /** Everything up to here was handed to the application. */
  handed: string | undefined;
  private readonly parts: DriverParts;
  private readonly negotiation: Negotiation;
  private readonly delivery: Delivery;
  private readonly timers = new Map<TimerName, Cancel>();
  private readonly links = new Map<number, OpenLink>();
  private readonly events: Event[] = [];
  private isBusy = false;
  private state: State;
  private told: ClientState;

  constructor(parts: DriverParts) {
    const { environment, url, token } = parts;
    this.parts = parts;
    this.state = initialState(parts.services, parts.cursor);
    this.handed = parts.cursor;
    this.told = this.view();
    this.delivery = new Delivery(parts.callbacks, this.stats, parts.dedupTypes);
    this.negotiation = new Negotiation(`${url}/v2/realtime/negotiate`, token, environment);
    this.desk = new PublishDesk(
      `${url}/v2/realtime/publish`,
      environment,
      { last: async () => this.negotiation.token || token(), next: async () => token() },
      () => (this.state.live === undefined ? undefined : this.links.get(this.state.live.id)),
    );
  }

  /** What the application may see of the state. */
  view(): ClientState {
    const { phase, live, memory } = this.state;
    return { phase, transport: live?.transport, failure: memory.failure };
  }

  /** One event after the other: what a callback causes comes after the step that called it. */
  dispatch(event: Event): void {
    this.events.push(event);
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      for (let next = this.events.shift(); next !== undefined; next = this.events.shift()) this.take(next);
    } finally {
      this.isBusy = false;
    }
  }

  private take(event: Event): void {
    const { links } = this;
    if (event.type === 'closed') {
      this.stats.closes[event.code] = (this.stats.closes[event.code] ?? 0) + 1;
      if (event.verdict === 'reauth') this.negotiation.refusedToken = links.get(event.link)?.token;
      this.drop(event.link);
    }
    const before = this.state;
    const { state, effects } = step(before, event);
    this.state = state;
    this.count(before, state);
    for (const effect of effects) this.carryOut(effect);
    if (state.phase === 'failed' || state.phase === 'idle') for (const id of links.keys()) this.drop(id);
    this.handed = state.memory.position?.cursor;
    this.tellState();
  }

  private count(before: State, { phase, live }: State): void {
    if (phase === 'waiting' && before.phase !== 'waiting') this.stats.reconnects += 1;
    if (before.phase === 'moving' && live !== undefined && live.id === before.next.id) {
      if (live.transport === before.live.transport) this.stats.moves.same += 1;
      else this.stats.moves[live.transport === 'websocket' ? 'up' : 'down'] += 1;
    }
  }

  private tellState(): void {
    const view = this.view();
    const { phase, transport } = this.told;
    if (phase === view.phase && transport === view.transport) return;
    this.told = view;
    this.delivery.state(view);
  }

  private carryOut(effect: Effect): void {
    const { delivery } = this;
    switch (effect.do) {
      case 'negotiate':
        void this.negotiate(effect);
        return;
      case 'open':
        this.open(effect.link, effect.url, effect.cursor);
        return;
      case 'close':
        this.drop(effect.link);
        return;
      case 'services':
        this.links.get(effect.link)?.setServices(effect.services);
        return;
      case 'deliver':
        delivery.events(effect.events, effect.repeats);
        return;
      case 'ephemeral':
        delivery.ephemeral(effect.events);
        return;
      case 'reset':
        delivery.reset(effect.reason, effect.at);
        return;
      case 'pong':
        this.links.get(effect.link)?.send({ type: 'pong', audit: effect.audit });
        return;
      case 'wait': {
        this.cancel(effect.timer);
        const { clock } = this.parts.environment;
        const run = (): void => this.dispatch({ type: 'timer', timer: effect.timer });
        this.timers.set(effect.timer, clock.after(drawMs(effect.delay, clock.random()), run));
        return;
      }
      case 'cancel':
        this.cancel(effect.timer);
        return;
    }
  }

  private cancel(timer: TimerName): void {
    this.timers.get(timer)?.();
    this.timers.delete(timer);
  }

  private drop(id: number): void {
    const link = this.links.get(id);
    if (link === undefined) return;
    this.links.delete(id);
    link.close();
    this.desk.lost(link);
  }

  /** Ends the question that is out, if one is: nobody waits for it. */
  release(): void {
    this.negotiation.cancel();
  }

  private async negotiate(effect: Extract<Effect, { do: 'negotiate' }>): Promise<void> {
    const { environment, session, override, sdk } = this.parts;
    const { position, assignment, heard } = this.state.memory;
    this.stats.negotiations += 1;
    const supports = effect.supports.filter(
      (name) => name !== 'websocket' || environment.WebSocket !== undefined,
    );
    const result = await this.negotiation.ask(
      {
        supports,
        current: effect.current,
        cursor: position?.cursor,
        session,
        // A node that has not heard of what a poll told looks again, and doesn't answer by what it had.
        assignment: heard > (assignment ?? 0) ? heard : assignment,
        override,
        blocked: effect.isBlocked,
        sdk,
      },
      effect.mustDiffer,
    );
    if (result.ok) {
      this.dispatch({ ...result, type: 'negotiated', ask: effect.ask });
      return;
    }
    const { verdict, code, retryAfterMs } = result;
    const { phase, memory } = this.state;
    const isAwaited = (phase === 'negotiating' || phase === 'asking') && memory.asks === effect.ask;
    if (isAwaited) this.delivery.problem({ code, message: 'negotiation failed' });
    this.dispatch({ type: 'refused', ask: effect.ask, verdict, code, retryAfterMs });
  }

  private open(link: Link, path: string, cursor: string | undefined): void {
    const { id, transport, services } = link;
    const { environment, session, url } = this.parts;
    this.stats.opened[transport] += 1;
    try {
      const tell = (news: LinkNews): void => this.dispatch({ ...news, link: id });
      const reply = (answer: Reply): void => this.replied(answer);
      const { href } = new URL(path, url);
      const parts: LinkParts = { environment, url: href, services, session, tell, reply };
      this.links.set(id, transport === 'websocket' ? this.stream(parts, cursor) : this.poll(parts));
    } catch (cause) {
      // A page may not open what its policy forbids: that is a connection that failed.
      this.delivery.problem({ code: 'open_failed', message: String(cause), cause });
      this.dispatch({ type: 'closed', link: id, verdict: 'backoff', code: 'open_failed' });
    }
  }

  private stream(parts: LinkParts, cursor: string | undefined): OpenLink {
    const { WebSocket } = this.parts.environment;
    if (WebSocket === undefined) throw new Error('a stream was assigned to a client without WebSocket');
    return new StreamLink({
      ...parts,
      url: parts.url.replace(/^http/, 'ws'),
      cursor,
      token: this.negotiation.token,
      freshToken: async () => this.parts.token(),
      renewed: (token) => {
        this.negotiation.token = token;
      },
      WebSocket,
    });
  }

  private poll(parts: LinkParts): OpenLink {
    const now = (): PollQuestion => {
      const { position, assignment, audit } = this.state.memory;
      return { cursor: position?.cursor, assignment, audit, token: this.negotiation.token };
    };
    return new PollLink({ ...parts, now });
  }

  private replied(reply: Reply): void {
    if (this.desk.settle(reply) || reply.ok) return;
    this.delivery.problem(reply);
    // A stream goes on without it. Asked for again by a poll, it would cost the client every other service as well.
    if (reply.code === 'service_forbidden' && reply.ref !== undefined)
      this.dispatch({ type: 'services', add: [], remove: [reply.ref] });
  }
}
