/** The words of the machine: its states, what happens to it, and what it wants done. STATES.md draws it. Types only. */
import type { Envelope } from '../../schema/envelope.ts';
import type { Audit, ResetReason, Transport } from '../../schema/frames.ts';
import type { ClientSettings, NegotiateResponse } from '../../schema/http.ts';
import type { Delay } from './backoff.ts';
import type { Verdict } from './closes.ts';
import type { Place, Position } from './cursor.ts';

/** One connection of one transport. Ids are never used twice, so that a stale one is known by its id. */
export interface Link {
  readonly id: number;
  readonly transport: Transport;
  /** What this connection was last told to bring. */
  readonly services: readonly string[];
  /** Subscribes and unsubscribes that no `ack` has answered: until then nobody knows which set an event was filtered by. */
  readonly unanswered: number;
  /** The server advised to open another: the next decision opens one, even of the same transport. */
  readonly isLeaving: boolean;
}

export type FailureCause = 'attempts' | 'unauthorized' | 'refused';
interface Failure {
  readonly cause: FailureCause;
  /** Close code or error code that ended it. */
  readonly code: number | string;
}

/** What outlives a connection. */
export interface Memory {
  readonly services: readonly string[];
  readonly position: Position | undefined;
  readonly audit: Audit | undefined;
  /** The last decision that was followed. */
  readonly decided: Transport;
  /** The highest assignment that was followed. */
  readonly assignment: number | undefined;
  /** A killed node refused a stream of this assignment: none that isn't newer is tried again. */
  readonly killedAt: number | undefined;
  /** The highest assignment of a poll's `websocket` that was asked about: each is asked about once. */
  readonly heard: number;
  /** Answers in a row by rules older than that. */
  readonly olderAnswers: number;
  readonly urls: NegotiateResponse['urls'] | undefined;
  readonly settings: ClientSettings;
  /** Waits with backoff since the last connection that was opened. */
  readonly attempts: number;
  /** The first failure before `ack` is retried at once; it has been. */
  readonly hasRetriedAtOnce: boolean;
  /** Streams in a row that failed before their `ack`. */
  readonly streamFailures: number;
  /** Since the first of them, something said that it is the gateway's trouble, and not the network's. */
  readonly isGatewayInTrouble: boolean;
  /**
   * Why only long-poll is asked for, where it is. `blocked`: streams fail where all else works. `trouble`: they fail, and
   * more than they.
   */
  readonly streamAvoided: 'blocked' | 'trouble' | 'autoreconnect' | undefined;
  /** A token was refused; the next refusal is the last. */
  readonly isReauthorizing: boolean;
  /** A question failed and is asked again later: what a poll says until then asks nothing. */
  readonly isAskPutOff: boolean;
  readonly failure: Failure | undefined;
  readonly links: number;
  readonly asks: number;
}

interface WithoutLink<P> {
  readonly phase: P;
  readonly memory: Memory;
  readonly live?: undefined;
  readonly next?: undefined;
}
/** Nothing live yet; `next` is being opened. */
export interface Connecting {
  readonly phase: 'connecting';
  readonly memory: Memory;
  readonly live?: undefined;
  readonly next: Link;
}
export interface Served<P> {
  readonly phase: P;
  readonly memory: Memory;
  readonly live: Link;
  readonly next?: undefined;
}
/** The hand-over: `live` goes on serving until `next` has been acknowledged. */
export interface Moving {
  readonly phase: 'moving';
  readonly memory: Memory;
  readonly live: Link;
  readonly next: Link;
}

export type State =
  | WithoutLink<'idle'>
  | WithoutLink<'negotiating'>
  | WithoutLink<'waiting'>
  | WithoutLink<'failed'>
  | Connecting
  | Served<'live'>
  | Served<'asking'>
  | Moving;
export type Phase = State['phase'];
export type StateOf<P extends Phase> = Extract<State, { phase: P }>;

/**
 * `retry`: negotiate after a wait. `ask`: negotiate while served. `opening`: `next` had its time. `stream`: streams were
 * avoided for long enough.
 */
export type TimerName = 'retry' | 'ask' | 'opening' | 'stream';

/** What a connection says. `link` tells which. */
export type LinkEvent = { readonly link: number } & (
  | { readonly type: 'opened'; readonly at: Place | undefined }
  | { readonly type: 'events'; readonly at: Place; readonly events: readonly Envelope[] }
  | { readonly type: 'ephemeral'; readonly events: readonly Envelope[] }
  | { readonly type: 'progress'; readonly at: Place; readonly why: 'ping' | 'answer' | 'poll' | 'renewal' }
  /** The report of the span so far is on its way. */
  | { readonly type: 'reported' }
  | { readonly type: 'reset'; readonly at: Place; readonly reason: ResetReason }
  | {
      readonly type: 'migrate';
      readonly transport: Transport;
      readonly assignment: number;
      /** Everything of ours up to here has been sent before. */
      readonly cursor: string;
    }
  | { readonly type: 'reconnect'; readonly withinMs: number }
  | { readonly type: 'due'; readonly assignment: number }
  | {
      readonly type: 'closed';
      readonly verdict: Verdict;
      readonly code: number | string;
      /** The node that refused the stream is killed; others may not know yet. */
      readonly isKill?: boolean;
      readonly retryAfterMs?: number | undefined;
    }
);

export type Event =
  | LinkEvent
  | { readonly type: 'start' }
  | { readonly type: 'stop' }
  | { readonly type: 'online' }
  | { readonly type: 'services'; readonly add: readonly string[]; readonly remove: readonly string[] }
  | {
      readonly type: 'negotiated';
      readonly ask: number;
      readonly answer: NegotiateResponse;
      /** It took so long that a stream may not have had the time to open either. */
      readonly isSlow?: boolean;
    }
  | {
      readonly type: 'refused';
      readonly ask: number;
      readonly verdict: Verdict;
      readonly code: number | string;
      readonly retryAfterMs?: number | undefined;
    }
  | { readonly type: 'timer'; readonly timer: TimerName };
export type EventType = Event['type'];
export type EventOf<T extends EventType> = Extract<Event, { type: T }>;

export type Effect =
  | {
      readonly do: 'negotiate';
      readonly ask: number;
      readonly supports: readonly Transport[];
      readonly current: Transport | undefined;
      readonly isBlocked: boolean;
      /** The last token was refused: one that equals it is not worth a request. */
      readonly mustDiffer: boolean;
    }
  | { readonly do: 'open'; readonly link: Link; readonly url: string; readonly cursor: string | undefined }
  | { readonly do: 'close'; readonly link: number }
  | { readonly do: 'services'; readonly link: number; readonly services: readonly string[] }
  | { readonly do: 'deliver'; readonly events: readonly Envelope[]; readonly repeats: number }
  | { readonly do: 'ephemeral'; readonly events: readonly Envelope[] }
  | { readonly do: 'reset'; readonly reason: ResetReason; readonly at: Place }
  | { readonly do: 'pong'; readonly link: number; readonly audit: Audit | undefined }
  | { readonly do: 'wait'; readonly timer: TimerName; readonly delay: Delay }
  | { readonly do: 'cancel'; readonly timer: TimerName };

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}
