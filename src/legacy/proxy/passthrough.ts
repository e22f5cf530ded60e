/**
 * Gives requests to the old backend and its answers to the client as they are, held connections of minutes included. Each
 * backend has a bounded number of connections; what finds none waits a little, then is refused. It reads no payload, follows
 * no redirect and changes no header but those of one connection alone and X-Forwarded-*.
 */
import type { IncomingMessage } from 'node:http';
import type { Client } from 'undici';
import type { Profile } from '../../../schema/profile.ts';
import { inSlices } from '../../async/slices.ts';
import { Shares } from '../../async/shares.ts';
import { type Cancel, pause } from '../../clock.ts';
import { fail, TurnoutError } from '../../errors.ts';
import { unitMs } from '../dialect/request-reading.ts';
import { Connections, type PassthroughBounds } from './connections.ts';
import type { LegacyExchange } from './exchange.ts';
import { requestHeaders } from './forwarding.ts';
import { type Forwarding, Relay, type RelayOptions } from './relay.ts';

export interface PassthroughDeps extends Pick<RelayOptions, 'clock' | 'refuse'> {
  readonly bounds: PassthroughBounds;
  /** The request's peer is a proxy whose X-Forwarded-For is believed. */
  readonly isTrusted: (request: IncomingMessage) => boolean;
}

interface Upstream {
  readonly connections: Connections;
  /** Stands before every path that is asked of it. */
  readonly path: string;
  /** TLS is checked against the name that is asked for; elsewhere the backend sees the name that the client used. */
  readonly host: string | undefined;
}

// Over the longest wait that a client may ask for: the backend answers at its end, not at ours.
const marginMs = 30_000;
// Whoever comes to a node that is about to close is given this long: less than the server gives what it has begun.
const lastMs = 500;
// How often a drain looks whether anybody is left.
const lookMs = 20;

export class Passthrough {
  private readonly upstreams = new Map<string, Upstream>();
  private readonly relays = new Set<Relay>();
  private readonly bodies: Shares;
  private isDraining = false;
  private isLast = false;

  constructor(private readonly deps: PassthroughDeps) {
    this.bodies = new Shares(deps.bounds.maxBodies);
  }

  /** Requests that are on their way. */
  get open(): number {
    return this.relays.size;
  }

  forward(forwarding: Forwarding): void {
    const { exchange, rewrite, onEnd } = forwarding;
    const { profile, request } = exchange;
    const { bounds, clock, refuse, isTrusted } = this.deps;
    const upstream = this.upstreamOf(profile);
    const silenceMs = Math.max(bounds.silenceMs, longestHoldMs(profile));
    let client: Client | undefined;
    let giveUp: Cancel | undefined;
    let stopLast: Cancel | undefined;
    const relay: Relay = new Relay({
      ...forwarding,
      silenceMs,
      clock,
      refuse,
      mustClose: () => this.isDraining,
      dispatch: (given) =>
        void client?.dispatch(
          {
            method: request.method ?? 'GET',
            path: `${upstream.path}${rewrite?.url ?? request.url ?? '/'}`,
            headers: [
              ...requestHeaders(request, isTrusted(request), upstream.host, rewrite?.without),
              ...(rewrite?.added ?? []),
            ],
            // An iterable is streamed as it is; undici's types name only the common bodies.
            body: given as Buffer | null,
            headersTimeout: silenceMs,
            bodyTimeout: silenceMs,
          },
          relay,
        ),
      onEnd: (end) => {
        this.relays.delete(relay);
        giveUp?.();
        stopLast?.();
        if (client !== undefined)
          upstream.connections.give(exchange.network, client, end.outcome === 'answered');
        onEnd(end);
      },
    });
    this.relays.add(relay);
    const enter = (taken: Client): void => {
      client = taken;
      relay.send();
    };
    const refused = (): void =>
      relay.end(fail('overloaded', 'the backend has no free connection; try again later'));
    const take = (): void => {
      if (this.relays.has(relay)) giveUp = upstream.connections.take(exchange.network, enter, refused);
    };
    const begun = exchange.begun();
    if (begun === undefined) take();
    else if (this.bodies.hasRoom(exchange.network)) this.awaitBody(begun, exchange, relay, take);
    else relay.end(fail('overloaded', 'too many bodies are waited for; try again later'));
    if (this.isLast && this.relays.has(relay))
      stopLast = clock.after(lastMs, () => relay.end(fail('draining')));
  }

  /** Calls `take` once the body has begun: until then a client holds no slot, only one of the places to wait in. */
  private awaitBody(begun: Promise<void>, { network }: LegacyExchange, relay: Relay, take: () => void): void {
    this.bodies.take(network);
    const told = (thrown: unknown): void => {
      // Of a client that broke off the relay is told by the response.
      if (thrown instanceof TurnoutError) relay.end(thrown);
    };
    void begun.finally(() => this.bodies.leave(network)).then(take, told);
  }

  /** Answers tell clients to go elsewhere; those still held when the time is up are answered 503, or cut in mid-answer. */
  async drain(withinMs: number): Promise<void> {
    this.isDraining = true;
    const { clock } = this.deps;
    const endMs = clock.monotonic() + withinMs;
    while (this.relays.size > 0 && clock.monotonic() < endMs) await pause(clock, lookMs);
    await inSlices(this.relays, clock, (relay) => relay.end(fail('draining')));
  }

  /** The drain is over, and connections are cut soon: whoever comes now is answered before that. */
  lastCall(): void {
    this.isLast = true;
  }

  close(): void {
    for (const relay of this.relays) relay.end(fail('draining'));
    for (const { connections } of this.upstreams.values()) connections.close();
  }

  /** Profiles with one backend share its connections. */
  private upstreamOf({ upstream: url }: Profile): Upstream {
    const known = this.upstreams.get(url);
    if (known !== undefined) return known;
    const { bounds, clock } = this.deps;
    const { origin, pathname, protocol, host } = new URL(url);
    const sibling = [...this.upstreams].find(([other]) => new URL(other).origin === origin)?.[1];
    const made: Upstream = {
      connections: sibling?.connections ?? new Connections(origin, bounds, clock),
      path: pathname.replace(/\/$/, ''),
      host: protocol === 'https:' ? host : undefined,
    };
    this.upstreams.set(url, made);
    return made;
  }
}

const longestHoldMs = ({ request: { wait } }: Profile): number =>
  wait === undefined ? 0 : wait.max * unitMs(wait) + marginMs;
