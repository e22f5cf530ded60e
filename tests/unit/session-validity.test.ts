/** Who is connected stays for as long as their token, or the server that vouches for them, says. */
import { describe, expect, it } from 'vitest';
import { Credential } from '../../src/auth/credential.ts';
import { fail } from '../../src/errors.ts';
import { type Identity, ServiceClaim } from '../../src/auth/identity.ts';
import { SessionValidity } from '../../src/transports/session-validity.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { FakeClock } from '../support/fake-clock.ts';

function watch(isVouched: boolean, livesMs = 10_000) {
  const clock = new FakeClock();
  const wheel = new Wheel(clock);
  const ended: string[] = [];
  const state = { asked: 0, fails: undefined as 'unauthorized' | 'overloaded' | undefined };
  const identity = (): Identity => ({
    org: 'acme',
    sub: 'ann',
    expiresAtMs: clock.now() + livesMs,
    reads: new ServiceClaim(['*']),
    publishes: new ServiceClaim([]),
    roles: new Set(),
    producerOrgs: [],
    ...(isVouched && { vouch: { credential: Credential.bearer('x'), outageMs: 60_000, askAgain } }),
  });
  async function askAgain(): Promise<Identity> {
    state.asked += 1;
    if (state.fails !== undefined) throw fail(state.fails);
    return identity();
  }
  const validity = new SessionValidity({ clock, wheel }, identity(), (code) => void ended.push(code));
  /** In steps, so that answers come between the timers. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 500) {
      clock.advance(Math.min(left, 500));
      await new Promise(setImmediate);
    }
  };
  return { state, ended, pass, validity };
}

describe('a connection', () => {
  it('ends with a token of its own', async () => {
    const { ended, pass } = watch(false);
    await pass(9500);
    expect(ended).toEqual([]);
    await pass(1000);
    expect(ended).toEqual(['unauthorized']);
  });

  it('stays while the server vouches, asked once in its time, and ends when refused', async () => {
    const { state, ended, pass } = watch(true);
    await pass(100_000);
    expect([ended, state.asked]).toEqual([[], 10]);
    state.fails = 'unauthorized';
    await pass(11_000);
    expect(ended).toEqual(['unauthorized']);
  });

  it('stays through an outage that ends in time, and ends as overloaded in a longer one', async () => {
    const { state, ended, pass } = watch(true);
    state.fails = 'overloaded';
    await pass(60_000);
    state.fails = undefined;
    await pass(30_000);
    expect(ended).toEqual([]);
    state.fails = 'overloaded';
    await pass(80_000);
    expect(ended).toEqual(['overloaded']);
  });

  it('is asked about no more than once a second where answers are not kept, and never once closed', async () => {
    const { state, pass, validity } = watch(true, 0);
    await pass(10_000);
    expect(state.asked).toBeGreaterThan(5);
    expect(state.asked).toBeLessThanOrEqual(10);
    validity.close();
    const { asked } = state;
    await pass(10_000);
    expect(state.asked).toBe(asked);
  });
});
