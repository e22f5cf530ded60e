/** Which polls of an old API are held here, and what the old backend is asked where it answers one after all. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { type Profile, profileSchema } from '../../../schema/profile.ts';
import { systemClock } from '../../../src/clock.ts';
import { LegacyExchange } from '../../../src/legacy/proxy/exchange.ts';
import { LegacyStands } from '../../../src/legacy/serve/stands.ts';
import { encodeCursor } from '../../../src/log/cursor.ts';
import { createMemoryLog } from '../../../src/log/memory-log.ts';

const profileOf = (place: 'query' | 'body') =>
  profileSchema.parse({
    name: 'acme',
    match: { path: '/feed' },
    upstream: 'http://backend:3000',
    auth: { from: 'bearer', jwt: { user: '$.sub', org: '$.org' } },
    request: {
      cursor: { in: place, name: 'since', format: 'opaque', absent: 'head' },
      wait: { in: place, name: 'hold', unit: 's', default: 30, max: 60 },
      services: { fixed: ['updates'] },
    },
    response: {
      idle: { status: 204 },
      events: { status: 200, body: { updates: '$events', next: '$cursor' } },
      event: { kind: '$.type' },
    },
  });

/** Who is held is let go at once: nobody feeds the log any more. */
async function standsFor(profile: Profile) {
  const bounds = { retentionMs: 3_600_000, retentionEvents: 1e6, retentionBytes: 1e9 };
  const log = createMemoryLog({ clock: systemClock, ...bounds });
  const { head } = await log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  let isFed = true;
  let held = 0;
  const stands = new LegacyStands({
    profiles: [profile],
    decider: { servesLegacy: () => true, servesAnyLegacy: () => true },
    longPoll: {
      mustClose: false,
      async hold() {
        isFed = false;
        held += 1;
        const state = { transport: 'long-poll', assignment: 1, reset: undefined, ephemeral: [] } as const;
        return { chunk: undefined, state: { ...state, at: head, hasMore: false } };
      },
    },
    log,
    clock: systemClock,
    authenticator: {
      verifiedClaims: async () => ({
        payload: { sub: 'ann', org: 'acme' },
        expiresAtMs: systemClock.now() + 3_600_000,
        services: undefined,
      }),
      holdsSecret: () => false,
    },
    searchReadsPerS: 300,
    isFed: () => isFed,
    onAsked: () => undefined,
    metrics: { unserved: () => undefined, shadowed: () => undefined },
  });
  const asked = async (url: string, body = ''): Promise<string | undefined> => {
    isFed = true;
    const told = { url, headers: { authorization: 'Bearer t' } };
    const request = Object.assign(Readable.from([Buffer.from(body)]), told) as unknown as IncomingMessage;
    const { answer, rewrite } = await stands.offer(
      new LegacyExchange(profile, request, {} as ServerResponse, {
        network: undefined,
        bodyMs: 10_000,
        clock: systemClock,
      }),
    );
    expect(answer).toBeUndefined();
    return rewrite?.url;
  };
  return { asked, head, heldCount: () => held };
}

it('has an opaque cursor of its own left out, and the rest of the wait written in', async () => {
  const { asked, head } = await standsFor(profileOf('query'));
  const own = encodeCursor({ ...head, seq: 0 });
  expect(await asked(`/feed?since=${own}&hold=59.5`)).toBe('/feed?hold=60');
  expect(await asked(`/feed?hold=59.5`)).toBe('/feed?hold=60');
});

it.each([
  ['is longer than what is read', `{"hold":${' '.repeat(64 * 1024)}30}`, 0],
  ['is no JSON', 'since=c', 0],
  ['is no JSON for its long number', '{"id":12345678901234567890-}', 0],
  ['is empty', '', 1],
  ['has no cursor', '{}', 1],
])(
  'holds a client that has no cursor, and none whose cursor may stand in a body that cannot be read: it %s',
  async (_what, body, times) => {
    const { asked, heldCount } = await standsFor(profileOf('body'));
    await asked('/feed', body);
    expect(heldCount()).toBe(times);
  },
);
