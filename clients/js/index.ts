/** The SDK's face: one client of one user, served by whichever transport the gateway decides, events in order and once. */
import type { Envelope } from '../../schema/envelope.ts';
import type { ResetReason, Transport } from '../../schema/frames.ts';
import type { Place } from './cursor.ts';
import type { ClientProblem, ClientState } from './delivery.ts';
import { Driver } from './driver.ts';
import { type ClientClock, environmentOf, type NetworkEvents, systemClock } from './environment.ts';
import { type Published, PublishError, type PublishInput } from './publish.ts';
import type { Stats } from './stats.ts';

export type { ClientClock, ClientProblem, ClientState, NetworkEvents, Place, Published, PublishInput, Stats };
export { PublishError, systemClock };

export interface ClientOptions {
  /** Where the gateway is, base path included: `https://live.example.com`. */
  readonly url: string;
  /**
   * Asked before every connection. A token that was refused must be answered by another, or the client gives up. Empty: the
   * page's own cookie says who it is (`TURNOUT_AUTH_COOKIE`), on a page of the gateway's origin.
   */
  readonly token: () => string | Promise<string>;
  /** One to begin with, at least. */
  readonly services: readonly string[];
  /** Each event once, in the order of `seq`. What it throws goes to `onError` and changes nothing. */
  readonly onEvent: (event: Envelope) => void;
  /** Typing, presence: not stored, without `seq`, perhaps lost. */
  readonly onEphemeral?: (event: Envelope) => void;
  /**
   * The gateway can't go on where the client was: read the snapshot again. Events after `resume` follow at once, so a
   * snapshot that is read now holds everything before it.
   */
  readonly onReset: (reason: ResetReason, resume: Place) => void;
  readonly onState?: (state: ClientState) => void;
  readonly onError?: (problem: ClientProblem) => void;
  /** Node 20 has none: give it that of `ws`. Default: the global one. Without any, long-poll serves. */
  readonly WebSocket?: unknown;
  readonly fetch?: typeof fetch;
  /** Where to go on (an earlier client's `cursor`), or `earliest`. Absent: from now on. */
  readonly cursor?: string;
  /** One id for each client instance, kept across connections. Default: random. */
  readonly session?: string;
  /** Asked for; honoured only where the operator allows it. */
  readonly override?: Transport;
  /** Event types with an application key, dropped when it repeats. Default: `assistant_message`. */
  readonly dedupTypes?: readonly string[];
  readonly clock?: ClientClock;
  /** Where `online` is heard. Default: the browser's window. */
  readonly network?: NetworkEvents;
}

export interface Client {
  /** Connects; from `failed` too. While served by long-poll: asks again which transport to use. */
  start(): void;
  /** Closes everything; the cursor stays, and `start` goes on there. */
  stop(): void;
  /**
   * In effect once a hand-over is over; a service that joins starts where it joins. One that a stream's token doesn't allow
   * is told to `onError` (`service_forbidden`) and left out until it is subscribed to again.
   */
  subscribe(services: readonly string[]): void;
  unsubscribe(services: readonly string[]): void;
  /** @throws PublishError */
  publish(event: PublishInput): Promise<Published>;
  readonly state: ClientState;
  /** Everything before it was handed to `onEvent`; undefined before the first connection without one. */
  readonly cursor: string | undefined;
  readonly session: string;
  readonly stats: Stats;
}

const ignore = (): void => undefined;
const sdk = 'turnout-js/1.0.0';

/** @throws RangeError without a service. */
export function createClient(options: ClientOptions): Client {
  if (options.services.length === 0) throw new RangeError('a client begins with at least one service');
  const environment = environmentOf(options);
  const session = options.session ?? environment.clock.id();
  const driver = new Driver({
    environment,
    url: options.url.replace(/\/+$/, ''),
    token: options.token,
    services: [...new Set(options.services)],
    cursor: options.cursor,
    session,
    override: options.override,
    sdk,
    dedupTypes: options.dedupTypes,
    callbacks: {
      onEvent: options.onEvent,
      onEphemeral: options.onEphemeral ?? ignore,
      onReset: options.onReset,
      onState: options.onState ?? ignore,
      onError: options.onError ?? ignore,
    },
  });
  const onOnline = (): void => driver.dispatch({ type: 'online' });
  return {
    start() {
      environment.network?.removeEventListener('online', onOnline);
      environment.network?.addEventListener('online', onOnline);
      driver.dispatch({ type: 'start' });
    },
    stop() {
      environment.network?.removeEventListener('online', onOnline);
      driver.dispatch({ type: 'stop' });
      driver.release();
    },
    subscribe: (services) => driver.dispatch({ type: 'services', add: services, remove: [] }),
    unsubscribe: (services) => driver.dispatch({ type: 'services', add: [], remove: services }),
    publish: (event) => driver.desk.publish(event),
    get state() {
      return driver.view();
    },
    get cursor() {
      return driver.handed;
    },
    session,
    stats: driver.stats,
  };
}
