/** What the application is told, in what it asked to be told by. Its faults stay its own: they end no connection. */
import type { Envelope } from '../../schema/envelope.ts';
import type { ResetReason, Transport } from '../../schema/frames.ts';
import type { Place } from './cursor.ts';
import { ApplicationDedup } from './dedup.ts';
import type { Phase } from './states.ts';
import type { Stats } from './stats.ts';

export interface ClientState {
  readonly phase: Phase;
  /** What serves now; undefined while nothing does. */
  readonly transport: Transport | undefined;
  /** Why it gave up, in phase `failed`. */
  readonly failure: { readonly cause: string; readonly code: number | string } | undefined;
}

/** Something went wrong that the client deals with by itself, or told. */
export interface ClientProblem {
  readonly code: number | string;
  readonly message: string;
  readonly ref?: string | undefined;
  readonly cause?: unknown;
}

export interface Callbacks {
  onEvent(event: Envelope): void;
  onEphemeral(event: Envelope): void;
  onReset(reason: ResetReason, resume: Place): void;
  onState(state: ClientState): void;
  onError(problem: ClientProblem): void;
}

export class Delivery {
  private readonly callbacks: Callbacks;
  private readonly stats: Stats;
  private readonly dedup: ApplicationDedup;

  constructor(callbacks: Callbacks, stats: Stats, dedupTypes: readonly string[] | undefined) {
    this.callbacks = callbacks;
    this.stats = stats;
    this.dedup = new ApplicationDedup(dedupTypes);
  }

  events(events: readonly Envelope[], repeats: number): void {
    this.stats.repeats += repeats;
    for (const event of events) {
      if (this.dedup.isRepeat(event)) {
        this.stats.applicationRepeats += 1;
        continue;
      }
      this.stats.delivered += 1;
      this.call(() => this.callbacks.onEvent(event));
    }
  }

  ephemeral(events: readonly Envelope[]): void {
    for (const event of events) this.call(() => this.callbacks.onEphemeral(event));
  }

  reset(reason: ResetReason, resume: Place): void {
    this.stats.resets += 1;
    this.call(() => this.callbacks.onReset(reason, resume));
  }

  state(state: ClientState): void {
    this.call(() => this.callbacks.onState(state));
  }

  problem(problem: ClientProblem): void {
    try {
      this.callbacks.onError(problem);
    } catch {
      // Nobody is left to tell.
      this.stats.unreported += 1;
    }
  }

  private call(callback: () => void): void {
    try {
      callback();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      this.problem({ code: 'callback', message, cause });
    }
  }
}
