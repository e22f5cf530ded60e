/** An auth server under a flood of made-up credentials: who else asks has turns. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Credential } from '../../src/auth/credential.ts';
import { type AskOutcome, AuthServer } from '../../src/auth/server.ts';
import { systemClock } from '../../src/clock.ts';
import { until, within } from '../support/until.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

const attacker = '203.0.113.9';
const honest = '198.51.100.7';
let whoami: WhoamiServer;
let server: AuthServer;
let told: AskOutcome[];
beforeEach(async () => {
  whoami = await WhoamiServer.start();
  whoami.people.set('Bearer anns', { user: 'ann', org: 'acme' });
  whoami.delayMs = 100;
  told = [];
  server = new AuthServer({
    url: whoami.url,
    userPath: 'user',
    org: { path: 'org' },
    cacheMs: 10_000,
    clock: systemClock,
    holdsSecret: () => false,
    onAsked: (outcome) => told.push(outcome),
  });
});
afterEach(async () => {
  await server.close();
  await whoami.close();
});

/** Settles when all are answered. */
const flood = (count: number, network: string | undefined) =>
  Promise.allSettled(
    Array.from({ length: count }, (_, index) =>
      server.identify(Credential.bearer(`made-up-${index}`), undefined, network),
    ),
  );
const ask = (network: string | undefined) =>
  within(server.identify(Credential.bearer('anns'), undefined, network), 'the answer');

// Loopback (undefined) is where a proxy may stand that nobody has named: it, too, is one of those who have turns.
it.each([
  ['an address', attacker],
  ['loopback', undefined],
])(
  '1,500 made-up credentials at once from %s keep no newcomer of another address waiting',
  async (_, network) => {
    const over = flood(1500, network);
    await until(() => whoami.asked.length > 0, 'the first questions');
    const before = whoami.asked.length;
    expect(await ask(honest)).toMatchObject({ sub: 'ann' });
    // Asked with the next slot that came free, though a thousand stood in the queue before.
    const place = whoami.asked.findIndex(({ credential }) => credential === 'Bearer anns');
    expect(place).toBeLessThan(before + 2 * 32);
    expect(told.filter((outcome) => outcome === 'crowded').length).toBeGreaterThan(400);
    await server.close();
    await over;
  },
);

it('a newcomer from the flood’s own address is asked about once the flood has been', async () => {
  const over = flood(64, attacker);
  expect(await ask(attacker)).toMatchObject({ sub: 'ann' });
  expect((await over).every(({ status }) => status === 'rejected')).toBe(true);
});

it('a user who is known is asked about again in a turn of their own', async () => {
  const identity = await ask(attacker);
  const over = flood(300, attacker);
  await until(() => whoami.asked.length > 1, 'the first questions');
  const before = whoami.asked.length;
  // As an open stream does when the answer grows old: from whichever address it came.
  const other = Credential.bearer('ann-anew');
  whoami.people.set('Bearer ann-anew', { user: 'ann', org: 'acme' });
  await within(server.identify(other, { org: identity.org, sub: identity.sub }), 'the answer');
  expect(whoami.asked.findIndex(({ credential }) => credential === 'Bearer ann-anew')).toBeLessThan(
    before + 2 * 32,
  );
  await server.close();
  await over;
});
