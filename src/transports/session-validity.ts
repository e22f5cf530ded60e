/**
 * Watches whether a connected user may still be here: until the token expires, or for as long as the auth server that
 * vouched for the user goes on doing so.
 */
import type { Cancel, Clock } from '../clock.ts';
import { asTurnoutError } from '../errors.ts';
import type { Identity, Vouch } from '../auth/identity.ts';
import type { Wheel } from './wheel.ts';

// An answer that is not kept at all would otherwise be asked for without a pause.
const leastMs = 1000;
// In an outage: long enough for a server that comes back to breathe, each connection at its own moment.
const retryMs = 2000;

export class SessionValidity {
  private outageSinceMs: number | undefined;
  private isClosed = false;
  private cancel: Cancel = () => undefined;

  /** @param onEnd called once, when the user may no longer be here; `overloaded`: the auth server was away for too long */
  constructor(
    private readonly deps: { readonly clock: Clock; readonly wheel: Wheel },
    identity: Identity,
    private readonly onEnd: (code: 'unauthorized' | 'overloaded') => void,
  ) {
    this.watch(identity);
  }

  close(): void {
    this.isClosed = true;
    this.cancel();
  }

  private watch({ expiresAtMs, vouch }: Identity): void {
    const leftMs = Math.max(vouch === undefined ? 0 : leastMs, expiresAtMs - this.deps.clock.now());
    this.cancel = this.deps.wheel.after(leftMs, () => {
      if (vouch === undefined) this.onEnd('unauthorized');
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
      if (asTurnoutError(thrown).code === 'unauthorized') this.onEnd('unauthorized');
      else this.bear(vouch);
    }
  }

  /** The auth server can't be asked: the user stays for a while. */
  private bear(vouch: Vouch): void {
    const { clock, wheel } = this.deps;
    this.outageSinceMs ??= clock.monotonic();
    const leftMs = vouch.outageMs - (clock.monotonic() - this.outageSinceMs);
    if (leftMs <= 0) {
      this.onEnd('overloaded');
      return;
    }
    const pauseMs = Math.min(leftMs, retryMs * (0.5 + clock.random()));
    this.cancel = wheel.after(pauseMs, () => void this.ask(vouch));
  }
}
