/**
 * Watches whether whoever is connected still may be: until the token expires, or for as long as the server that vouched
 * for them goes on doing so.
 */
import type { Cancel, Clock } from '../clock.ts';
import { asTurnoutError } from '../errors.ts';
import type { Identity, Vouch } from '../auth/identity.ts';
import type { Wheel } from './wheel.ts';

/** `overloaded`: nobody could be asked for too long. */
export type StandingEnd = 'unauthorized' | 'overloaded';

interface StandingDeps {
  readonly clock: Clock;
  readonly wheel: Wheel;
}

// An answer that is not kept at all would otherwise be asked for without a pause.
const leastMs = 1000;
// In an outage: long enough for a server that comes back to breathe, each connection at its own moment.
const retryMs = 2000;

export class Standing {
  private readonly deps: StandingDeps;
  private readonly ended: (code: StandingEnd) => void;
  private outageSinceMs: number | undefined;
  private isClosed = false;
  private cancel: Cancel = () => undefined;

  /** @param ended called once, when they may no longer be here */
  constructor(deps: StandingDeps, identity: Identity, ended: (code: StandingEnd) => void) {
    this.deps = deps;
    this.ended = ended;
    this.watch(identity);
  }

  close(): void {
    this.isClosed = true;
    this.cancel();
  }

  private watch({ expiresAtMs, vouch }: Identity): void {
    const leftMs = Math.max(vouch === undefined ? 0 : leastMs, expiresAtMs - this.deps.clock.now());
    this.cancel = this.deps.wheel.after(leftMs, () => {
      if (vouch === undefined) this.ended('unauthorized');
      else void this.ask(vouch);
    });
  }

  private async ask(vouch: Vouch): Promise<void> {
    try {
      const identity = await vouch.askAgain();
      if (this.isClosed) return;
      this.outageSinceMs = undefined;
      this.watch(identity);
    } catch (thrown) {
      if (this.isClosed) return;
      if (asTurnoutError(thrown).code === 'unauthorized') this.ended('unauthorized');
      else this.bear(vouch);
    }
  }

  /** Nobody can be asked: who is connected stays for a while. */
  private bear(vouch: Vouch): void {
    const { clock, wheel } = this.deps;
    this.outageSinceMs ??= clock.monotonic();
    const leftMs = vouch.outageMs - (clock.monotonic() - this.outageSinceMs);
    if (leftMs <= 0) {
      this.ended('overloaded');
      return;
    }
    const pauseMs = Math.min(leftMs, retryMs * (0.5 + clock.random()));
    this.cancel = wheel.after(pauseMs, () => void this.ask(vouch));
  }
}
